// The page that `medqbench view` serves: it asks its own server, and no other, for a run's samples and for what goes on.

async function loadRun(run) {
  const { key, version } = runs[run];
  const address = `runs/${encodeURIComponent(key)}.json?v=${version}`;
  loadErrors.delete(run);
  let got = { samples: [], pictures: [], answers: [] };
  try {
    const response = await fetch(address, { cache: "default" });
    if (response.ok) got = await response.json();
    else loadErrors.set(run, (await response.text()) || `the server says ${response.status}`);
  } catch (error) {
    loadErrors.set(run, `the server is not there any more (${error.message})`);
  }
  if (runs[run].version !== version) return loadRun(run); // it was scored anew meanwhile
  for (const [place, sample] of got.samples) samples[place] = Object.assign(samples[place] || {}, sample);
  for (const [place, entry] of got.pictures) allPictures()[place] = entry;
  setAnswers(run, got.answers);
}
