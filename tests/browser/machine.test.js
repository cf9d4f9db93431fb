// SPDX-License-Identifier: Apache-2.0
// The machine below the lanes: on their axis, nothing lost far out, nothing shown where nothing was measured.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LANE, openAxis, REPORT, RUN_S } from "./axis.js";
import { skip, themeColour, upload } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const START = Date.UTC(2016, 5, 1, 12);
/** Rows a second: some fifteen fall on each pixel. */
const OFTEN = 100;
const PEAK_S = 75;

/** Idle but for a hundredth of a second; its memory grows from 1 GiB by 10 MiB a second. */
function recording() {
  const rows = Array.from({ length: RUN_S * OFTEN }, (_, i) => {
    const usr = i === PEAK_S * OFTEN ? 90 : 2;
    return `${(START / 1000 + i / OFTEN).toFixed(3)},${usr},3,${92 - usr},4,1,0,0,${2 ** 30 + Math.floor((i / OFTEN) * 10 * 2 ** 20)},1000,10,10,2048,4096,0.5,0.4,0.3,7,1,0.5,1536,512,77`;
  });
  return [
    '"Dstat 0.7.3 CSV output"', '"Author:","Dag Wieers <dag@wieers.com>",,,,"URL:","http://dag.wieers.com/home-made/dstat/"', '"Host:","one",,,,"User:","root"', '"Cmdline:","dstat",,,,"Date:","01 Jun 2016 12:00:00 UTC"', "",
    '"epoch","total cpu usage",,,,,,,"memory usage",,,,"net/total",,"load avg",,,"procs",,,"dsk/total",,"tcp sockets"',
    '"epoch","usr","sys","idl","wai","stl","hiq","siq","used","buff","cach","free","recv","send","1m","5m","15m","run","blk","new","read","writ","lis"',
    ...rows,
  ].join("\n");
}

const daemon = rigDaemon({ yaml: "zuuls: []\n" });
const open = rigBrowser();

const limits = { skip, timeout: 60000 };

test("a job without measurements has no boxes, no menu and no room for them", limits, async () => {
  const { page } = await openAxis(open, await upload(daemon.url, { "junit.xml": REPORT }));
  assert.equal(await page.locator(".chart, .machine-name").count(), 0);
  assert.equal(await page.locator(".menu summary", { hasText: "Metrics" }).isVisible(), false);
  const [plot, lanes] = [await page.locator(".plot").boundingBox(), await page.locator("canvas.lanes").boundingBox()];
  assert.ok(plot && lanes && plot.y + plot.height - (lanes.y + lanes.height) < 12, "the plot ends with its lanes");
});

test("each measurement has its unit at the pointer, a peak outlasts every zoom, and any other column can be shown", limits, async () => {
  const { page, point, box } = await openAxis(open, await upload(daemon.url, { "junit.xml": REPORT, "dstat-csv.txt": recording() }));
  await page.locator(".chart").first().waitFor();
  const text = async () => Object.fromEntries(await page.locator(".chart").evaluateAll((all) => all.map((chart) => [chart.querySelector(".chart-name")?.textContent, [...chart.querySelectorAll(".chart-key")].map((key) => /** @type {HTMLElement} */ (key).innerText.trim()).join(", ")])));
  await page.mouse.move(...point(50, LANE.one));
  const values = await text();
  assert.deepEqual(Object.keys(values), ["CPU", "Memory", "Load", "Disk", "Network", "Processes"]);
  assert.match(values.CPU, /^user 2(\.0)? ?%, system 3(\.0)? ?%, wait 4(\.0)? ?%, steal 1(\.0)? ?%$/);
  assert.match(values.Memory, /^used 1\.[45]\d* GiB$/);
  assert.match(values.Network, /^receive 2(\.0+)? KiB\/s, send 4(\.0+)? KiB\/s$/);
  assert.match(values.Disk, /^read 1\.50? KiB\/s, write 512 B\/s$/);
  assert.match(values.Load, /^1 min 0\.5\d*, 5 min 0\.4\d*, 15 min 0\.3\d*$/);
  assert.match(values.Processes, /^running 7\S*, blocked 1\S*, new 0\.50?$/);
  // The same pointer over a chart: one axis.
  const chart = await page.locator(".chart canvas").nth(1).boundingBox();
  assert.ok(chart);
  assert.deepEqual([chart.x, chart.width], [box.x, box.width]);
  await page.mouse.move(point(50, 0)[0], chart.y + 20);
  assert.deepEqual(await text(), values);
  assert.equal(await page.locator(".cursor").isVisible(), true);

  const idle = await themeColour(page, "fill-idle");
  /** Whether something is drawn at half the height of the CPU's chart near a second of the run. @param {number} s */
  const high = (s) => page.locator(".chart canvas").first().evaluate((element, [x, ground]) => {
    const copy = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(7, 1).getContext("2d"));
    copy.drawImage(/** @type {HTMLCanvasElement} */ (element), Number(x) - 3, 23, 7, 1, 0, 0, 7, 1);
    const { data } = copy.getImageData(0, 0, 7, 1);
    return Array.from({ length: 7 }, (_, i) => data.slice(i * 4, i * 4 + 3).join(",")).some((colour) => colour !== ground);
  }, [Math.round(point(s, 0)[0] - box.x), idle]);
  assert.deepEqual([await high(PEAK_S - 10), await high(PEAK_S), await high(PEAK_S + 10)], [false, true, false]);

  await page.locator(".menu summary", { hasText: "Metrics" }).click();
  assert.equal(await page.getByRole("group", { name: "Machines" }).count(), 0, "there is one machine");
  await page.getByRole("checkbox", { name: "tcp sockets: lis" }).check();
  await page.getByRole("checkbox", { name: "Load" }).uncheck();
  await page.keyboard.press("Escape");
  await page.mouse.move(...point(49, LANE.one));
  await page.mouse.move(...point(50, LANE.one));
  const changed = await text();
  assert.deepEqual(Object.keys(changed), ["CPU", "Memory", "Disk", "Network", "Processes", "tcp sockets"]);
  assert.match(changed["tcp sockets"], /^lis 77$/);
});
