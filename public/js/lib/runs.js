// SPDX-License-Identifier: Apache-2.0
// A task's artifacts, arranged as what one can look at.

/** @typedef {import("./types.js").Artifact} Artifact */

/** @typedef {{name: string, subunit: Artifact|null, stats: Artifact|null, details: Artifact|null}} Run */

/**
 * @param {readonly Artifact[]} artifacts in the server's order, which is that of their worth
 * @returns {{runs: Run[], dstats: Artifact[], consoles: Artifact[], output: Artifact|null}}
 */
export function arrangeArtifacts(artifacts) {
  /** @type {Map<string, Run>} */
  const runs = new Map();
  for (const artifact of artifacts) {
    const { artifact_type: type, artifact_name: name } = artifact;
    if (type !== "subunit" && type !== "subunit-stats" && type !== "subunit-details") continue;
    const run = runs.get(name) ?? { name, subunit: null, stats: null, details: null };
    runs.set(name, run);
    if (type === "subunit") run.subunit ??= artifact;
    else if (type === "subunit-stats") run.stats ??= artifact;
    else run.details ??= artifact;
  }
  return {
    runs: [...runs.values()].filter((run) => run.subunit || run.stats),
    dstats: artifacts.filter((artifact) => artifact.artifact_type === "dstat"),
    consoles: artifacts.filter((artifact) => artifact.artifact_type === "console"),
    output: artifacts.find((artifact) => artifact.artifact_type === "job-output") ?? null,
  };
}
