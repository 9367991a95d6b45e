// The shortest way from one sequence to another, as edits that people would recognise.
//
// Algorithm: Myers, An O(ND) Difference Algorithm and Its Variations, 1986, greedy and forward, after the common start and
// end are set aside, and given up for one replacement where more than MAX_DIFFERENCES would be needed. Specification:
// spec/merge.md, section 12. Python: kernel/edit_script.py.

const MAX_DIFFERENCES = 200;
const MIN_KEPT = 3;

/** [start, end] in the old sequence are replaced by [start, end] of the new one. */
export type Edit = readonly [start: number, end: number, first: number, last: number];

type Run = readonly [old: number, young: number, length: number];

/** The edits that lead from `old` to `young`, in rising order, no two of them adjacent. */
export function edits(old: readonly string[], young: readonly string[], minKept = MIN_KEPT): Edit[] {
  let start = 0;
  const limit = Math.min(old.length, young.length);
  while (start < limit && old[start] === young[start]) start++;
  let end = 0;
  while (end < limit - start && old[old.length - 1 - end] === young[young.length - 1 - end]) end++;
  const middleOld = old.slice(start, old.length - end);
  const middleYoung = young.slice(start, young.length - end);
  const runs: Run[] = middleOld.length > 0 && middleYoung.length > 0 ? kept(middleOld, middleYoung) : [];
  const found: [number, number, number, number][] = [];
  let [a, b] = [0, 0];
  for (const [x, y, size] of [...runs, [middleOld.length, middleYoung.length, 0] as const]) {
    const last = found[found.length - 1];
    if (last !== undefined && a - last[1] < minKept) [last[1], last[3]] = [x, y];
    else found.push([a, x, b, y]);
    [a, b] = [x + size, y + size];
  }
  return found.map(([i, j, k, m]) => [i + start, j + start, k + start, m + start]);
}

/** Runs of equal items, none when there are too many differences. */
function kept(old: readonly string[], young: readonly string[]): Run[] {
  const furthest = new Map([[1, 0]]);
  const trail: Map<number, number>[] = [];
  for (let differences = 0; differences <= MAX_DIFFERENCES; differences++) {
    trail.push(new Map(furthest));
    for (let k = -differences; k <= differences; k += 2) {
      let x = isDown(furthest, k, differences) ? at(furthest, k + 1) : at(furthest, k - 1) + 1;
      while (x < old.length && x - k < young.length && old[x] === young[x - k]) x++;
      furthest.set(k, x);
      if (x >= old.length && x - k >= young.length) return runsOf(trail, old.length, young.length);
    }
  }
  return [];
}

/** Walk the trail back from the end. */
function runsOf(trail: readonly Map<number, number>[], endX: number, endY: number): Run[] {
  const runs: Run[] = [];
  let [x, y] = [endX, endY];
  for (let differences = trail.length - 1; differences >= 0; differences--) {
    const furthest = trail[differences] as Map<number, number>;
    const k = x - y;
    const down = isDown(furthest, k, differences);
    const fromX = at(furthest, down ? k + 1 : k - 1);
    const start = differences === 0 ? 0 : down ? fromX : fromX + 1;
    if (x > start) runs.push([start, start - k, x - start]);
    [x, y] = [fromX, fromX - (down ? k + 1 : k - 1)];
  }
  return runs.reverse();
}

function isDown(furthest: ReadonlyMap<number, number>, k: number, differences: number): boolean {
  return k === -differences || (k !== differences && at(furthest, k - 1) < at(furthest, k + 1));
}

function at(furthest: ReadonlyMap<number, number>, k: number): number {
  return furthest.get(k) as number;
}
