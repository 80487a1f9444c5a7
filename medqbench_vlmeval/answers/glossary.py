"""Answers in other languages than English.

A stated letter is found like one in English (:func:`stated_in_other_language`). A model that is asked in English may
also answer '运动伪影' for 'Motion artifact': a short reply that consists of the common names of image degradations and
grades, and of nothing else than words like 'the image shows', is compared with the options by what the names mean, as a
whole or clause by clause ('A is B', 'not A but B', 'level: B'). The glossary (Chinese, Japanese, Korean, German,
French, Spanish) is small on purpose: a name with two meanings in this field is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from medqbench_vlmeval.answers.claims import STRONG, WEAK, Claim, asserted_at
from medqbench_vlmeval.answers.options import OptionSet, Reading, letter_at
from medqbench_vlmeval.answers.plain import may_say

_STATED = re.compile(
    r"(?i)(?:Antwort|Lösung|Respuesta|Réponse|Risposta|Resposta|Đáp án|Cevap|Odpowiedź|Jawaban|Antwoord|Svaret|Svar"
    r"|Vastaus|Răspuns(?:ul)?|Válasz"
    r"|Odpověď|Ответ|Відповідь|الإجابة|الاجابة|الجواب|उत्तर|คำตอบ|Απάντηση|תשובה)(?![^\W\d_])"
    r"(?P<words>[^.\n;?!:=]{0,40}?)(?:(?<![^\W_])(?:ist|lautet|es|est|é|è|é a|là|adalah|jest|är|is|este|هي|هو|है"
    r"|คือ)(?![^\W_])|[:=—]|\s-\s|(?=\s[(\[]?[A-Z](?![^\W_])))\s*"
)
# What begins the names in _STATED that are ASCII throughout.
_LATIN_STEMS = ("antwo", "respuesta", "risposta", "resposta", "cevap", "jawaban", "svar", "vastaus")
_NOT_STATED = re.compile(
    r"(?i)(?<![^\W_])(?:nicht|keinesfalls|no|não|non|n'est|n|pas|не|nie|niet|không|ليس|ليست|नहीं|δεν|nu|ikke|inte)(?![^\W_])"
)
_CJK = re.compile(
    r"(?P<neg>[不没非]\s*|排除\s*)?(?:答案|正解|解答|答え|回答|正确选项|最终选择|结论|정답|답변|답|答|选择|選擇|应选|故选|因此选|所以选|选|選|选项|選項|判断为|应为|認為是|认为是|應為)"
    r"[^\n。.;?A-Za-z]{0,12}?[\s(\[\"']*(?P<letter>[A-Z])(?![A-Za-z0-9])"
)
_CJK_TEXT = re.compile(r"(?:答案|正解|答え|正确选项|最终选择|结论|정답|答)\s*(?:应该|应当|应)?(?:是|为|為|は|은|:)+\s*")
_CJK_REJECTED = re.compile(r"\s*(?:选项|项)?(?:不|错|可以排除|被排除|では|じゃな|[가이은는]?\s*아[니닙닌])")
_CJK_ITEM = re.compile(
    r"(?<![A-Za-z])(?P<letter>[A-Z])\s*(?:选项|選項|项)?\s*(?:才是?|是)?(?:对的|对(?=[.,;]|\s*\Z)|正确|最合适|最符合|符合)"
)
_FITTING = re.compile(
    r"(?<![A-Za-z0-9])(?P<letter>[A-Z])[)\]\"']*\s*(?:[이가]\s*(?:더|가장|제일)?\s*(?:적절|적합|맞|정답|옳|올바|알맞)"
    r"|が(?:最も|一番)?(?:適切|正し|正解|妥当|適当))(?!\s*(?:하지 않|지 않|ではな|でな|くな))"
)


def stated_in_other_language(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Antwort: B', 'La respuesta correcta es B', '答案：B', '正解はB'."""
    if not may_say(text, _LATIN_STEMS):
        return
    starts = [match for match in _STATED.finditer(text) if not _NOT_STATED.search(match["words"])]
    if not text.isascii():
        for match in _CJK.finditer(text):
            if match["neg"] or text[max(0, match.start() - 2) : match.start()].endswith(("不", "非")):
                continue
            letter = letter_at(text, match.start("letter"), options)
            if letter is not None and not _CJK_REJECTED.match(text, match.end(), match.end() + 12):
                yield Claim(match.start(), letter, STRONG, "stated answer")
        starts += _CJK_TEXT.finditer(text)
    for match in starts:
        reading = asserted_at(text, match.end(), options)
        if reading is not None:
            yield Claim(match.start(), reading, STRONG, "stated answer")
    for match in (*_CJK_ITEM.finditer(text), *_FITTING.finditer(text)) if not text.isascii() else ():
        if match["letter"] in options.letters:
            yield Claim(match.start(), Reading(match["letter"]), WEAK, "letter called right")


Meanings = frozenset[str]

# Meaning (or meanings, joined by +) = its names, with _ for a blank; the English ones are how options say it.
# Longer names win: '不可用' is not '可用'.
_TABLE = """
blur = blur blurry blurred blurring 模糊 ぼけ ボケ ぼやけ 흐림 블러 Unschärfe unscharf Verwischung flou floue
  desenfoque borroso borrosa borrosidad
motion+blur = motion_blur 运动模糊 運動模糊 モーションブラー Bewegungsunschärfe flou_de_mouvement flou_de_bougé
  desenfoque_de_movimiento 움직임_흐림
defocus = out_of_focus defocus defocus_blur defocused 失焦 离焦 失焦模糊 离焦模糊 对焦不准 ピンぼけ 초점_흐림
  Defokussierung hors_foyer hors_de_mise_au_point fuera_de_foco fuera_de_enfoque
noise = noise noisy image_noise 噪声 噪音 噪点 图像噪声 雑音 ノイズ 잡음 노이즈 Rauschen Bildrauschen Rauschens
  verrauscht bruit bruitée bruité ruido ruidosa ruidoso
low dose = 低剂量 低線量 저선량 low_dose
low dose+noise = low-dose_noise low_dose_noise 低剂量噪声 低剂量噪音 低線量ノイズ 저선량_잡음 저선량_노이즈
  Niedrigdosisrauschen ruido_de_baja_dosis bruit_de_faible_dose
motion = motion motion-related movement 运动 運動 体動 モーション 움직임 모션 Bewegung Bewegungs mouvement
  de_mouvement movimiento de_movimiento
bias field = bias_field bias_field_inhomogeneity intensity_inhomogeneity inhomogeneity 偏置场 偏置场不均匀 偏场
  偏场不均匀 偏磁场 强度不均匀 灰度不均匀 バイアスフィールド 바이어스_필드 Biasfeld champ_de_biais campo_de_sesgo
ring = ring 环状 环形 環状 环 リング 링 Ring en_anneau anneaux anillo en_anillo de_anillo
streak = streak streaking 条状 条纹 條紋 条纹状 放射状 ストリーク 줄무늬 선상 Streifen Strich en_stries stries
  en_raies rayas en_banda de_rayas
metal = metal metallic 金属 金屬 メタル 금속 Metall métallique métalliques metálico
aliasing = aliasing wrap-around wrap_around wraparound 混叠 混疊 卷褶 卷折 卷绕 折叠混叠 折り返し エイリアシング
  에일리어싱 앨리어싱 Einfaltung Einfaltungs Aliasing repliement de_repliement solapamiento de_solapamiento
susceptibility = susceptibility 磁敏感 磁敏感性 磁化率 磁敏 磁化率アーチファクト 자화율 자기감수성 Suszeptibilität
  Suszeptibilitäts susceptibilité susceptibilidad de_susceptibilidad de_susceptibilité
ghosting = ghosting ghost 鬼影 重影 ゴースト 고스트 Geisterbild fantasma
low contrast = low_contrast poor_contrast 低对比度 低對比度 对比度低 对比度不足 对比度较低 对比度差 低コントラスト
  저대비 낮은_대비 geringer_Kontrast niedriger_Kontrast faible_contraste contraste_faible bajo_contraste
  contraste_bajo
overexposed = overexposure overexposed over-exposure 过曝 过度曝光 曝光过度 露出過多 過剰露出 과다_노출 과노출
  Überbelichtung surexposition sobreexposición
underexposed = underexposure underexposed 曝光不足 欠曝 露出不足 노출_부족 Unterbelichtung sous-exposition
  subexposición
uneven illumination = uneven_illumination uneven_lighting non-uniform_illumination 光照不均 光照不均匀 照明不均
  照明不均匀 照明ムラ 불균일_조명 ungleichmäßige_Beleuchtung éclairage_inégal iluminación_desigual
color distortion = color_distortion colour_distortion color_cast color_shift 颜色失真 色彩失真 偏色 色偏 色ずれ
  색상_왜곡 Farbverfälschung Farbstich distorsion_des_couleurs distorsión_del_color
specular reflection = specular_reflection specular_reflections specular_highlight specular_highlights 镜面反射
  镜面反光 高光反射 鏡面反射 정반사 Spiegelung spekulare_Reflexion réflexion_spéculaire reflexión_especular
bubbles = bubble bubbles air_bubble air_bubbles 气泡 氣泡 气泡伪影 気泡 기포 Luftblase Luftblasen Blasen bulle bulles
  bulle_d'air bulles_d'air burbuja burbujas burbuja_de_aire
tissue fold = tissue_fold tissue_folding tissue_folds folded_tissue 组织折叠 组织褶皱 組織の折れ 조직_접힘 Gewebefalte
  pli_tissulaire pliegue_de_tejido
blood stain = blood_stain blood_stains 血迹 血渍 血液污染 血痕 혈흔 Blutfleck tache_de_sang mancha_de_sangre
none = no none without 无 無 没有 沒有 无明显 未见 未见明显 不存在 なし 없음 kein keine keinerlei ohne aucun aucune
  pas_de sans ninguno ninguna sin
mild = mild slight slightly minor 轻度 輕度 轻微 轻 軽度 軽微 경도 경미 경미한 leicht leichte gering léger légère leve
  ligero ligera
moderate = moderate moderately medium 中度 中等 中等度 중등도 중간 mäßig mäßige moderat mittel modéré modérée modere
  moderado moderada
severe = severe severely 重度 严重 嚴重 重度の 중증 심한 심함 심각 심각한 schwer schwere stark starke sévère sévere
  grave severo severa
good = good 好 良好 优良 良い 良 좋음 양호 gut gute bon bonne bueno buena
usable = usable 可用 可以使用 勉强可用 使用可能 사용_가능 brauchbar verwendbar utilisable utilizable
reject = reject rejected rejectable 拒绝 拒收 不可用 不合格 弃用 不可 使用不可 거부 불합격 사용_불가 unbrauchbar
  ablehnen abgelehnt rejeter rejeté rechazar rechazada rechazado
excellent = excellent 优秀 極好 非常好 優秀 우수 ausgezeichnet hervorragend excelente
poor = poor bad 差 较差 很差 不良 悪い 나쁨 불량 schlecht schlechte mauvais mauvaise malo mala
acceptable = acceptable 可接受 許容可能 akzeptabel aceptable
unacceptable = unacceptable 不可接受 inakzeptabel inacceptable inaceptable
clear = clear sharp 清晰 鮮明 선명 선명함 scharf net nette nítida nítido
"""
# Nouns that most options and replies have, and that tell none from another.
_GENERIC = """
artifact artifacts artefact artefacts degradation degradations distortion quality image_quality level 伪影 偽影
退化 降质 质量退化 质量下降 质量 图像质量 アーチファクト 劣化 画質 아티팩트 인공물 화질 저하 열화 严重程度 程度
重症度 심각도 정도 水平 等级 級別 级别 수준 レベル Schweregrad Grad degré gravité grado niveau nivel gravedad grau
severidad Stärke Artefakt Artefakte Verschlechterung Qualität artéfact dégradation qualité artefacto artefactos
degradación calidad
"""
_FILLER = """
的是 而是 而应是 sondern sino mais ma ce c'est du del これ これは それ ています している 있습니다 있고 있다 由
造成 造成的 引起 引起的 所致 所致的 导致 导致的 问题是 問題 の問題 による によるもの 원인은 때문 문제는 은 는 것
것은 主な この その 主要的 问题 主要问题 质量问题 类型 退化类型 缺陷 受 受到 影响 的影响 图中 画面 the image is
shows has a an of with there are 图像中 图像 影像 图片 图 该 此 这 这张 这是 张 中 存在 出现 有 属于 是 为 呈 明显
明显的 显著 可见 主要 主要是 的 程度 程度的 答案 答案是 此图 画像 です である だ は が の あり があります 이미지
입니다 이다 가 이 있음 das Bild ist ein eine es der die zeigt muestra montre mostra présente durch le la les un
une l'image présente il y est du de los el una hay imagen
"""
_WORD_END = r"(?![^\W\d_])"
_LONGEST_NAME = 60
_LONGEST_REPLY = 120


def _pattern(name: str) -> str:
    spelled = re.escape(name.replace("_", " ")).replace("\\ ", r"[\s\-]+")
    if not name[0].isascii() and not re.match("[À-ɏ]", name[0]):
        return spelled  # written without spaces
    # German compounds: 'Bewegungsartefakt' goes on after its first part.
    end = r"(?:s?(?=artefakt)|(?![^\W\d_]))" if name[0].isupper() else _WORD_END
    return rf"(?<![^\W\d_]){spelled}{end}"


def _key(name: str) -> str:
    return re.sub(r"[\s\-_]+", "_", name.lower())


@lru_cache(maxsize=1)
def _names() -> tuple[re.Pattern[str], dict[str, list[str]]]:
    table = dict(line.split(" = ") for line in _TABLE.strip().replace("\n ", " ").split("\n"))
    meanings = {_key(name): meaning.split("+") for meaning, names in table.items() for name in names.split()}
    cased = {name for names in (*table.values(), _GENERIC, _FILLER) for name in names.split()}
    branches = "|".join(_pattern(name) for name in sorted(cased, key=lambda name: (-len(name), name)))
    # The second half of a compound stands inside a word: 'Bewegungsartefakt'.
    return re.compile(f"(?i){branches}|(?<=[a-zß])artefakte?{_WORD_END}"), meanings


def _named(text: str) -> Meanings:
    """The meanings of all names in a text, whatever stands between them."""
    pattern, meanings = _names()
    return frozenset(meaning for name in pattern.finditer(text) for meaning in meanings.get(_key(name[0]), ()))


def _meaning(text: str) -> Meanings | None:
    """What a text says, or None where it has a word that the glossary does not know."""
    return None if re.search(r"[^\W_]", _names()[0].sub("", text)) else _named(text)


@lru_cache(maxsize=1024)
def _option_meanings(texts: tuple[tuple[str, str], ...]) -> dict[str, Meanings | None]:
    return {letter: _meaning(text) for letter, text in texts}


def in_other_language(text: str, options: OptionSet) -> Reading | None:
    """A short reply that is one option's text in another language."""
    text = text.strip()
    if not text or options.yes is not None or "?" in text:
        return None
    if re.sub(r"[\W_]+", "", text).lower() in ("no", "without"):  # an answer to another question
        return None
    known = _option_meanings(tuple((letter, " ".join(words)) for letter, words in options.words.items()))
    meaning = _meaning(text) if len(text) <= _LONGEST_NAME else None
    if meaning and (letter := _match(meaning, known)) is not None:
        return Reading(letter)
    return _by_clauses(text, known)


def _match(meaning: Meanings, known: dict[str, Meanings | None]) -> str | None:
    """The one option that means what was said; else the one that has it as a part."""
    letters = [letter for letter, own in known.items() if own == meaning]
    if not letters and "none" not in meaning:
        letters = [letter for letter, own in known.items() if own is not None and meaning < own]
    if not letters and all(own is not None and len(own) == 1 and own <= _GRADES for own in known.values()):
        # 'severe noise' where the options are grades
        letters = [letter for letter, own in known.items() if own == meaning & _GRADES]
    return letters[0] if len(letters) == 1 else None


_GRADES = frozenset({"none", "mild", "moderate", "severe"})
_CLAUSES = re.compile(
    r"[,、;\n]|\.(?=\s|\Z)|(?=而是|而应)|(?<=ではなく)|(?<=でなく)|(?<=じゃなく)|(?<=아니라)|(?<=아니고)|(?<=없고)"
    r"|\b(?=sondern\b|sino\b|mais\b|ma\b|maar\b)"
)
# A clause that denies what it names.
_DENIES = re.compile(
    r"(?i)(?:不是|并非|並非|没有|沒有|未见|未見|无|無|看不到|不存在|并无|不属于|(?<![^\W_])(?:kein\w*|nicht|pas|aucune?|sans|ohne"
    r"|no es|no hay|sin|niet|geen|non è|não é)(?![^\W_]))|(?:ではな[くい]|でなく|じゃな[くい]|ではありません|ありません"
    r"|見られない|見られません|なし|[가이은는]?\s*(?:아니라|아니고|아닙니다|아니며|없고|없습니다|없음|없다))\s*\Z"
)
_DENIAL_WORDS = re.compile(
    r"(?:图中|圖中|图像中|画面中|画面|图像|影像|该图|此图|这|並|也|并)*\s*"
    r"(?:不是|并非|並非|没有|沒有|未见|未見|无|無|看不到|不存在|并无|不属于)(?:明显的?|任何|出现)?"
    r"|(?<![^\W_])(?:(?:ce\s+)?n'est pas|no es|no hay|kein\w*|nicht|non è|não é|niet|geen|pas)(?![^\W_])"
    r"|(?:ではなく?い?|でなく|じゃなく?い?|ではありません|は?見られない|は?見られません|はありません|[가이은는]?\s*(?:아니라|아니고|아닙니다|아니며|없고|없습니다|없음|없다))\s*\Z"
)
_HEDGES = re.compile(
    r"(?i)\?|可能|或许|或許|也许|也許|或者|还是|還是|如果|若|假如|是否|吗|嗎|哪|什么|什麼|应避免|难以|難以|无法|無法|不确定|似乎不"
    r"|かもしれ|可能性|もし|か[。?]|아마|수도|만약|인지|(?<![^\W_])(?:vielleicht|oder|ou|o|wenn|falls|peut-être|quizás|puede"
    r"|könnte|pourrait|podría|si|möglich\w*|entweder|or|if|maybe|could|might|may)(?![^\W_])"
)
_FOREIGN = re.compile(
    r"(?i)\b(?:Grad|Schweregrad|nivel|niveau|gravedad|severidad|keine?|nicht|pas|ce|es|non|sondern|sino|ist|das|der|die|el|la|le|les|il|del|di|du)\b"
)
_COPULA = re.compile(
    r":|是|属于|屬於|呈现?(?:为)?|为|為|は|(?<![^\W_])(?:ist|est|es|è|é)(?![^\W_])|(?<=[\uac00-\ud7a3])[은는이가]\s"
)
_LONGEST_SUBJECT = 24
# A clause that gives the verdict, whatever the clauses beside it say.
_VERDICT = re.compile(
    r"(?:因此|所以|故)?(?:主要(?:是|为|问题)|属于|屬於|而是|判断为|应为|应判断为|主に)|sondern\b|sino\b"
)
_NOT_SO = re.compile(r"(?i)[不没沒未非]|(?<![^\W_])(?:nicht|no|pas|non|não|niet)(?![^\W_])|ない|않")


def _by_clauses(text: str, known: dict[str, Meanings | None]) -> Reading | None:
    """The one option that the clauses of a short reply affirm."""
    if len(text) > _LONGEST_REPLY or (text.isascii() and not _FOREIGN.search(text)) or _HEDGES.search(text):
        return None
    affirmed: set[str] = set()
    denied: set[str] = set()
    verdicts: set[str] = set()
    unclear = False
    for clause in map(str.strip, _CLAUSES.split(text)):
        if not re.search(r"[^\W_]", clause):
            continue
        meaning = _meaning(clause)
        letter = _match(meaning, known) if meaning is not None and "none" in meaning else None
        if _DENIES.search(clause) or (meaning is not None and "none" in meaning and letter is None):
            rest = _meaning(_DENIAL_WORDS.sub("", clause))
            if letter is not None and "none" in (known[letter] or ()):
                affirmed.add(letter)
            elif rest is not None:
                denied |= {other for other, own in known.items() if own and rest - {"none"} and own & rest}
            else:
                unclear = True
            continue
        letter = _affirmed(clause, known)
        if letter is not None:
            (verdicts if _VERDICT.match(clause) else affirmed).add(letter)
        elif any(own and own <= _named(clause) for own in known.values()):
            unclear = True
    if not verdicts and unclear:
        return None
    chosen = verdicts or affirmed
    return Reading(chosen.pop()) if len(chosen) == 1 and not chosen & denied else None


def _affirmed(clause: str, known: dict[str, Meanings | None]) -> str | None:
    whole = _meaning(clause)
    if whole and (letter := _match(whole, known)) is not None:
        return letter
    copulas = [copula for copula in _COPULA.finditer(clause) if copula.start() <= _LONGEST_SUBJECT]
    for copula in reversed(copulas):
        subject, meaning = clause[: copula.start()], _meaning(clause[copula.end() :])
        if not meaning:
            continue
        if _NOT_SO.search(subject):
            return None
        about = _named(subject)
        letter = _match(meaning | about, known) or _match(meaning, known)
        # A subject that is another option makes it hard to tell which of the two is meant.
        rivals = [other for other, own in known.items() if own and other != letter and own <= about]
        return letter if letter is not None and not rivals else None
    return None
