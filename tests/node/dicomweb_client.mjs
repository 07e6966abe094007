// Makes every call that dcmjs' dicomweb-client has, and prints what came back as JSON.
// Usage: node dicomweb_client.mjs URL FILE…; the files are instances of one series, with pixel data.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
globalThis.XMLHttpRequest = require("xhr2"); // the client is made for browsers
const { api } = require("dicomweb-client");

const [url, ...paths] = process.argv.slice(2);
const client = new api.DICOMwebClient({ url });
const digest = (buffer) => createHash("sha256").update(Buffer.from(buffer)).digest("hex");
const value = (dataset, tag) => dataset[tag]?.Value?.[0];

async function refusal(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return error.status ?? String(error);
  }
}

const found = {};
const files = await Promise.all(paths.map((path) => readFile(path)));
const datasets = files.map((file) => file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength));
found.stored = await client.storeInstances({ datasets });

const [study] = await client.searchForStudies({ queryParams: { limit: 1 } });
const studyInstanceUID = value(study, "0020000D");
const [series] = await client.searchForSeries({ studyInstanceUID });
const seriesInstanceUID = value(series, "0020000E");
const instances = await client.searchForInstances({ studyInstanceUID, seriesInstanceUID });
const sopInstanceUID = value(instances[0], "00080018");
const one = { studyInstanceUID, seriesInstanceUID, sopInstanceUID };
found.study = study;
found.series = series;
found.instances = instances.map((each) => value(each, "00080018"));

const metadata = {
  study: await client.retrieveStudyMetadata({ studyInstanceUID }),
  series: await client.retrieveSeriesMetadata({ studyInstanceUID, seriesInstanceUID }),
  instance: [].concat(await client.retrieveInstanceMetadata(one)),
};
found.metadata = Object.fromEntries(Object.entries(metadata).map(([name, each]) => [name, each.length]));
found.name = value(metadata.instance[0], "00100010");

found.instance = digest(await client.retrieveInstance(one));
found.ofSeries = (await client.retrieveSeries({ studyInstanceUID, seriesInstanceUID })).map(digest);
found.ofStudy = (await client.retrieveStudy({ studyInstanceUID })).map(digest);
found.frames = (await client.retrieveInstanceFrames({ ...one, frameNumbers: [1] })).map(digest);
const uri = metadata.instance[0]["7FE00010"].BulkDataURI;
const pixels = await client.retrieveBulkData({ BulkDataURI: uri });
found.bulk = [].concat(pixels).map(digest);

found.rendered = await refusal(() => client.retrieveInstanceRendered(one));
found.thumbnail = await refusal(() => client.retrieveInstanceThumbnail(one));
found.missing = await refusal(() => client.retrieveInstance({ ...one, sopInstanceUID: "1.2.3" }));
console.log(JSON.stringify(found));
