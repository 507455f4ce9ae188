"""Style sheet of the report: light and dark, wide screens and phones."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fcfcfb; --card: #ffffff; --ink: #1b2027; --muted: #5b6470; --rule: #e2e5e9;
  --before: #9aa4b0; --after: #0d7a6f; --worse: #b4540a; --shade: #f1f3f4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --card: #1a1e23; --ink: #e6e9ed; --muted: #9aa3ae; --rule: #2d333a;
    --before: #78828e; --after: #45c4b3; --worse: #e59a55; --shade: #20252b;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 3rem 1.25rem 4rem; max-width: 60rem;
  background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums;
}
h1 { margin: 0 0 .6rem; font-size: 1.9rem; line-height: 1.2; letter-spacing: -.015em; }
h2 { margin: 0 0 .5rem; font-size: 1.2rem; line-height: 1.3; letter-spacing: -.005em; }
p { margin: 0 0 .8rem; max-width: 42rem; }
section { margin-top: 3rem; }
.kicker { margin: 0 0 .5rem; color: var(--muted); font-size: .85rem; }
.lead { font-size: 1.1rem; }
.note, figcaption { color: var(--muted); font-size: .88rem; }
.hero { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 1.6rem; }
.hero > div {
  flex: 1 1 12rem; padding: 1.1rem 1.25rem; border: 1px solid var(--rule);
  border-radius: 10px; background: var(--card);
}
.hero b { display: block; font-size: 2.9rem; line-height: 1.1; letter-spacing: -.03em; }
.hero .after b { color: var(--after); }
.hero .before b { color: var(--muted); }
.hero span { display: block; color: var(--muted); font-size: .88rem; }
.hero .name { margin-bottom: .3rem; color: var(--ink); font-weight: 600; }
svg { display: block; width: 100%; overflow: visible; }
svg text { fill: var(--muted); font-size: 13px; }
svg text.strong { fill: var(--ink); font-weight: 600; }
.grid { stroke: var(--rule); stroke-width: 1; }
.bar-before, .dot-before { fill: var(--before); }
.bar-after, .dot-after { fill: var(--after); }
.bar-worse { fill: var(--worse); }
.bar-none { fill: var(--rule); }
.whisker { stroke: var(--ink); stroke-width: 1.5; }
.raw { fill: none; stroke: var(--before); stroke-width: 1; opacity: .65; }
.smooth { fill: none; stroke: var(--after); stroke-width: 2.5; stroke-linejoin: round; }
.raw, .smooth { vector-effect: non-scaling-stroke; }
.link-up { stroke: var(--after); stroke-width: 3; opacity: .55; }
.link-down { stroke: var(--worse); stroke-width: 3; opacity: .7; }
.curve { padding: .6rem .5rem 0 3rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  gap: 1.25rem; }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; border: 1px solid var(--rule);
  border-radius: 8px; background: #fff; }
figcaption { margin-top: .45rem; }
.scenes { margin: 0; padding: 0; list-style: none; columns: 2 24rem; column-gap: 2.5rem; }
.scenes li {
  display: grid; grid-template-columns: 1fr 6rem 4.6rem; gap: .9rem; align-items: center;
  padding: .32rem 0; border-bottom: 1px solid var(--rule); break-inside: avoid;
  font-size: .84rem; line-height: 1.3;
}
.scenes .count { color: var(--muted); text-align: right; white-space: nowrap; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: .7rem 0 0; padding: 0;
  list-style: none; font-size: .88rem; }
.legend i { display: inline-block; width: .75rem; height: .75rem; margin-right: .45rem;
  border-radius: 3px; background: var(--rule); }
.legend .both i { background: var(--before); }
.legend .gained i { background: var(--after); }
.legend .lost i { background: var(--worse); }
.dots i { border-radius: 50%; }
.dots .before i { background: var(--before); }
table { width: 100%; border-collapse: collapse; font-size: .92rem; }
th, td { padding: .42rem .9rem .42rem 0; border-bottom: 1px solid var(--rule);
  text-align: left; vertical-align: top; font-weight: 400; overflow-wrap: anywhere; }
th { color: var(--muted); }
td.number { padding-right: 0; text-align: right; white-space: nowrap; }
tr.total th, tr.total td { color: var(--ink); font-weight: 600; }
details { border: 1px solid var(--rule); border-radius: 8px; background: var(--card); }
summary { padding: .7rem 1rem; cursor: pointer; font-weight: 600; }
details table { margin: 0 1rem 1rem; width: calc(100% - 2rem); font-size: .84rem; }
details td, details th { font-family: ui-monospace, Menlo, Consolas, monospace; }
@media (max-width: 34rem) {
  body { padding-top: 1.75rem; }
  h1 { font-size: 1.55rem; }
  section { margin-top: 2.4rem; }
  .scenes li { grid-template-columns: 1fr 4.2rem 4.4rem; gap: .6rem; }
}
@media print { body { max-width: none; } figure, section > svg { break-inside: avoid; } }
"""
