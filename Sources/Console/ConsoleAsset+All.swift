// Written by Scripts/embed-assets.py from Assets/: change the files there and run it.
// swift-format-ignore-file

extension ConsoleAsset {
    static let all: [ConsoleAsset] = [
        ConsoleAsset(name: "console.css", type: "text/css; charset=utf-8", tag: "6c5b226063b82bcad3fe", text: ###"""
/* The console: one sheet, light and dark by the same names. */

:root {
    color-scheme: light dark;
    --ground: #f5f6f8;
    --panel: #ffffff;
    --raised: #fbfcfd;
    --line: #d9dee5;
    --text: #18202a;
    --quiet: #56616f;
    --accent: #3352c9;
    --accent-ground: #e6ebfd;
    --good: #17794a;
    --good-ground: #dcf3e6;
    --bad: #c0242c;
    --bad-ground: #fde5e5;
    --warn: #8a5a00;
    --warn-ground: #fbefd2;
    --metrics: #3f66e0;
    --logs: #0b8f8a;
    --traces: #8a4bd6;
    --profiles: #c7398b;
    --otlp: #7a5af0;
    --targets: #8b95a3;
    --shadow: 0 1px 2px rgb(20 30 50 / 8%), 0 4px 14px rgb(20 30 50 / 6%);
    --mono: ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", "DejaVu Sans Mono", monospace;
    font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Inter", "DejaVu Sans", sans-serif;
}

@media (prefers-color-scheme: dark) {
    :root:not([data-theme="light"]) {
        --ground: #0e1217;
        --panel: #161c23;
        --raised: #1b222b;
        --line: #2b3541;
        --text: #e4e9ef;
        --quiet: #9aa7b5;
        --accent: #8fa8ff;
        --accent-ground: #22305c;
        --good: #5fd39a;
        --good-ground: #143626;
        --bad: #ff8a8a;
        --bad-ground: #45191c;
        --warn: #f0c060;
        --warn-ground: #3b2d10;
        --metrics: #6d8dff;
        --logs: #35c2bb;
        --traces: #b58af5;
        --profiles: #ee77b8;
        --otlp: #a48cff;
        --targets: #76828f;
        --shadow: 0 1px 2px rgb(0 0 0 / 40%), 0 4px 14px rgb(0 0 0 / 30%);
    }
}

:root[data-theme="light"] { color-scheme: light; }

:root[data-theme="dark"] {
    color-scheme: dark;
    --ground: #0e1217;
    --panel: #161c23;
    --raised: #1b222b;
    --line: #2b3541;
    --text: #e4e9ef;
    --quiet: #9aa7b5;
    --accent: #8fa8ff;
    --accent-ground: #22305c;
    --good: #5fd39a;
    --good-ground: #143626;
    --bad: #ff8a8a;
    --bad-ground: #45191c;
    --warn: #f0c060;
    --warn-ground: #3b2d10;
    --metrics: #6d8dff;
    --logs: #35c2bb;
    --traces: #b58af5;
    --profiles: #ee77b8;
    --otlp: #a48cff;
    --targets: #76828f;
    --shadow: 0 1px 2px rgb(0 0 0 / 40%), 0 4px 14px rgb(0 0 0 / 30%);
}

* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; background: var(--ground); color: var(--text); }
h1 { font-size: 1.45rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; letter-spacing: -0.01em; }
h2 { font-size: 1.02rem; margin: 0 0 .6rem; }
h3 { font-size: .85rem; margin: 0 0 .3rem; color: var(--quiet); font-weight: 600; }
p { margin: .4rem 0; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
code, pre, .url, .v-list, .values, .trail, .stream { font-family: var(--mono); font-size: .86em; }
pre { overflow-x: auto; background: var(--raised); border: 1px solid var(--line); border-radius: 8px; padding: .7rem; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
#content:focus { outline: none; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: .5rem; top: .5rem; z-index: 20; background: var(--panel); padding: .5rem 1rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.kind { color: var(--quiet); font-size: .85em; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.empty { color: var(--quiet); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.wrap { overflow-wrap: anywhere; }

/* The bar */
#bar { position: sticky; top: 0; z-index: 10; display: flex; align-items: center; gap: .9rem; padding: .5rem 1.2rem;
    background: var(--panel); border-bottom: 1px solid var(--line); }
.brand { display: flex; align-items: center; gap: .5rem; font-weight: 700; font-size: 1.05rem; color: var(--text); }
.brand:hover { text-decoration: none; }
#bar nav { display: flex; gap: .15rem; overflow-x: auto; scrollbar-width: none; flex: 1 1 auto; min-width: 0; }
#bar nav a { color: var(--quiet); padding: .35rem .5rem; font-size: .93rem; border-radius: 8px; white-space: nowrap; font-weight: 500; }
#bar nav a:hover { background: var(--ground); color: var(--text); text-decoration: none; }
#bar nav a[aria-current] { background: var(--accent-ground); color: var(--accent); }
.totals { display: flex; align-items: center; gap: .75rem; color: var(--quiet); font-size: .82rem; white-space: nowrap; }
.totals b { color: var(--text); font-variant-numeric: tabular-nums; font-weight: 600; }
.state { display: flex; align-items: center; gap: .35rem; }
.state::before { content: ""; width: .55rem; height: .55rem; border-radius: 50%; background: var(--targets); }
.state[data-state="live"]::before { background: var(--good); }
.state[data-state="lost"] { color: var(--bad); }
.state[data-state="lost"]::before { background: var(--bad); }

/* Common parts */
main { flex: 1 1 auto; width: 100%; max-width: 1360px; margin: 0 auto; padding: 1.3rem 1.2rem 3rem; }
main > section, main > div > section { background: var(--panel); border: 1px solid var(--line); border-radius: 12px;
    padding: 1rem 1.1rem; margin: 1rem 0; box-shadow: var(--shadow); }
button, .button, select, input { font: inherit; font-size: .9rem; color: var(--text); }
button, .button, select, input[type="search"] { background: var(--panel); border: 1px solid var(--line);
    border-radius: 8px; padding: .38rem .75rem; min-height: 2.2rem; }
button, .button { cursor: pointer; font-weight: 500; display: inline-flex; align-items: center; gap: .4rem; }
button:hover, .button:hover { border-color: var(--accent); text-decoration: none; }
button:disabled { opacity: .55; cursor: default; }
button[aria-pressed="true"] { background: var(--accent-ground); color: var(--accent); border-color: var(--accent); }
.button { background: var(--accent); border-color: var(--accent); color: #fff; }
:root[data-theme="dark"] .button { color: #0e1217; }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) .button { color: #0e1217; } }
button.quiet, .button.quiet { background: transparent; color: var(--accent); border-color: transparent; }
:root .button.quiet { color: var(--accent); }
input[type="search"] { min-width: 0; width: 20rem; max-width: 100%; }
::placeholder { color: var(--quiet); opacity: 1; }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: .55rem; margin: .8rem 0; }
.found-count { color: var(--quiet); font-size: .88rem; }
.title { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: end; gap: .8rem; }
.title p { margin: 0; }
.trail { color: var(--quiet); margin-bottom: .7rem; overflow-wrap: anywhere; }
.health-line { display: flex; flex-wrap: wrap; align-items: center; gap: .3rem .7rem; margin: .7rem 0; }
.health-line moment-text { color: var(--quiet); font-size: .88rem; }
.badge { display: inline-block; padding: .08rem .55rem; border-radius: 99px; font-size: .82rem; font-weight: 600;
    background: var(--raised); border: 1px solid var(--line); color: var(--quiet); white-space: nowrap; }
.badge.healthy { background: var(--good-ground); color: var(--good); border-color: transparent; }
.badge.unhealthy, .badge.exited, .badge.bad { background: var(--bad-ground); color: var(--bad); border-color: transparent; }
.badge.unknown { background: var(--warn-ground); color: var(--warn); border-color: transparent; }
.swatch { display: inline-block; width: .62rem; height: .62rem; border-radius: 3px; margin-right: .45rem; background: var(--targets); }
.swatch.healthy { background: var(--good); }
.swatch.unhealthy, .swatch.exited { background: var(--bad); }
.swatch.unknown { background: var(--warn); }
.note { max-width: 38rem; margin: 2.5rem auto; padding: 1.2rem 1.4rem; background: var(--panel); border: 1px solid var(--line);
    border-radius: 12px; box-shadow: var(--shadow); }
.note h2 { margin-bottom: .3rem; }
.note p { color: var(--quiet); }
.waiting { color: var(--quiet); }
.summary { color: var(--quiet); }
.scroll { overflow-x: auto; background: var(--panel); border: 1px solid var(--line); border-radius: 12px; box-shadow: var(--shadow); }
section .scroll { border: 0; box-shadow: none; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1rem; }
.references { list-style: none; margin: 0; padding: 0; font-family: var(--mono); font-size: .86em; }
.references li { padding: .12rem 0; overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; margin: .6rem 0; }
.facts dt { color: var(--quiet); font-size: .78rem; }
.facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.facts.wide { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: .9rem 1.1rem;
    box-shadow: var(--shadow); gap: .8rem 2.2rem; margin: 1rem 0; }
.pairs { display: grid; grid-template-columns: auto 1fr; gap: .2rem 1rem; margin: 0; }
.pairs dt { color: var(--quiet); }
.pairs dd { margin: 0; overflow-wrap: anywhere; }

/* Tables */
table.rows { width: 100%; border-collapse: collapse; font-size: .9rem; }
table.rows th { text-align: left; font-weight: 600; color: var(--quiet); font-size: .8rem; padding: .5rem .8rem;
    border-bottom: 1px solid var(--line); white-space: nowrap; }
table.rows th.number { text-align: right; }
table.rows td { padding: .45rem .8rem; border-bottom: 1px solid var(--line); vertical-align: top; }
table.rows tbody tr:last-child td { border-bottom: 0; }
table.rows tbody tr:hover td { background: var(--raised); }
tr.bad td, td.bad { color: var(--bad); }
.sort { background: none; border: 0; padding: 0; min-height: 0; color: inherit; font-weight: inherit; font-size: inherit; }
[aria-sort="ascending"] .sort::after { content: "\2191"; }
[aria-sort="descending"] .sort::after { content: "\2193"; }
.components td:first-child { font-family: var(--mono); font-size: .84rem; min-width: 14rem; }
.components td:nth-child(2) { min-width: 12rem; }
.labels { max-width: 26rem; min-width: 12rem; }
.label { display: inline-block; margin: 0 .3rem .25rem 0; padding: .02rem .4rem; border-radius: 6px; background: var(--ground);
    border: 1px solid var(--line); font-family: var(--mono); font-size: .78rem; overflow-wrap: anywhere; }
.label > span { color: var(--accent); }
.targets .wrap { min-width: 14rem; }
.targets .error { color: var(--bad); font-size: .85rem; margin: .2rem 0 0; }
.targets .next { display: block; }
.targets tr.detail > td { background: var(--raised); }
.target-detail { padding: .2rem 0 .6rem; }
.target-detail h3 { margin: .9rem 0 .3rem; }
.target-detail .error, .dropped .error { color: var(--bad); }
.target-detail .tools { margin: .3rem 0; }
.label-table th[scope="row"] { font-weight: 500; white-space: normal; }
.targets .label-table tr + tr > * { border-top: 1px solid var(--line); }
.targets .label-table tr > * { border-bottom: 0; }
.label-table tr.changed td code { color: var(--accent); font-weight: 650; }
.answer { max-height: 32rem; overflow: auto; font-size: .8rem; margin: .5rem 0; }
.health-history td:first-child .kind { display: block; }
tr.down td:first-child { box-shadow: inset 3px 0 var(--bad); }
.pool { margin: 1rem 0; }
.pool > summary { cursor: pointer; padding: .3rem 0 .6rem; overflow-wrap: anywhere; }
.pool > summary b { font-family: var(--mono); font-size: .9rem; }
.holdings .share { width: 34%; }
progress, meter { width: 100%; height: .7rem; }
progress { appearance: none; border: 0; background: var(--ground); border-radius: 99px; overflow: hidden; }
progress::-webkit-progress-bar { background: var(--ground); border-radius: 99px; }
progress::-webkit-progress-value { background: var(--metrics); border-radius: 99px; }
progress::-moz-progress-bar { background: var(--metrics); border-radius: 99px; }

/* Values */
.values { border-collapse: collapse; width: 100%; }
.values th { text-align: left; font-weight: 500; color: var(--quiet); vertical-align: top; padding: .22rem 1rem .22rem 0;
    white-space: nowrap; width: 1%; }
.values td { padding: .22rem 0; overflow-wrap: anywhere; }
.values tr + tr > * { border-top: 1px solid var(--line); }
.values .values { font-size: 1em; border-left: 2px solid var(--line); margin: .2rem 0 .3rem; }
.values .values th { padding-left: .8rem; }
.values tr.block > th { color: var(--text); font-weight: 600; }
.v-list { list-style: none; margin: 0; padding: 0 0 0 .4rem; font-size: 1em; }
li:has(> .v-list) { border-left: 2px solid var(--line); margin: .3rem 0; }
.v-key { color: var(--quiet); }
.v-string { color: var(--logs); }
.v-number, .v-bool { color: var(--metrics); }
.v-null { color: var(--quiet); }
.v-capsule { color: var(--traces); }
.v-secret { background: var(--warn-ground); color: var(--warn); border-radius: 4px; padding: 0 .3rem; }
details > summary { cursor: pointer; }
.values details > summary { color: var(--quiet); }

/* Books and plots */
.ledger { font-variant-numeric: tabular-nums; font-size: 1rem; line-height: 2; color: var(--quiet); }
.ledger .term { background: var(--ground); border: 1px solid var(--line); border-radius: 8px; padding: .15rem .55rem; white-space: nowrap; }
.ledger b { color: var(--text); }
.ledger .bad { background: var(--bad-ground); border-color: transparent; color: var(--bad); }
.ledger .bad b { color: var(--bad); }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(15.5rem, 1fr)); gap: .8rem; margin: .9rem 0 .2rem; }
.plot { margin: 0; padding: .55rem .7rem .4rem; border: 1px solid var(--line); border-radius: 10px; background: var(--raised); min-width: 0; }
.plot figcaption { display: flex; justify-content: space-between; gap: .6rem; font-size: .8rem; color: var(--quiet); min-height: 2.4em; }
.plot figcaption > span { overflow-wrap: anywhere; }
.plot figcaption b { color: var(--text); white-space: nowrap; font-variant-numeric: tabular-nums; }
.plot svg { display: block; width: 100%; height: 56px; }
.plot-top { font-size: .72rem; color: var(--quiet); }
.plot-base { stroke: var(--line); vector-effect: non-scaling-stroke; }
.plot-line { fill: none; stroke: var(--metrics); stroke-width: 1.6; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.plot-line.second { stroke: var(--logs); stroke-dasharray: 4 3; }
.plot-line.bad { stroke: var(--bad); }

/* Live data */
.stream { list-style: none; margin: .6rem 0; padding: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 12px;
    box-shadow: var(--shadow); overflow: hidden; }
.stream:empty { display: none; }
.stream li { display: flex; gap: .7rem; padding: .28rem .8rem; border-bottom: 1px solid var(--line); }
.stream time { color: var(--quiet); white-space: nowrap; }
.stream .text { overflow-wrap: anywhere; white-space: pre-wrap; min-width: 0; }
.way { font-weight: 700; width: 2rem; flex: none; }
.way.in { color: var(--metrics); }
.way.out { color: var(--logs); }
.diagnostics { list-style: none; margin: 0; padding: 0; }
.diagnostics li { padding: .6rem 0; border-top: 1px solid var(--line); }
.diagnostics code { margin-left: .6rem; }

/* The graph */
.view-pipeline { max-width: none; padding: 0; display: flex; flex-direction: column; }
.view-pipeline .tools { margin: 0; padding: .55rem 1.2rem; border-bottom: 1px solid var(--line); }
.stage { position: relative; flex: 1 1 auto; min-height: 24rem; overflow: hidden; background-color: var(--ground);
    background-image: radial-gradient(var(--line) 1px, transparent 1px); background-size: 22px 22px; }
.graph { position: absolute; inset: 0; width: 100%; height: 100%; touch-action: none; cursor: grab; user-select: none; display: block; }
.graph:active { cursor: grabbing; }
.graph:focus-visible { outline-offset: -2px; }
.graph text { font: 500 12px/1 system-ui, -apple-system, "Segoe UI", "Inter", "DejaVu Sans", sans-serif; fill: var(--text); }
.graph-note { position: absolute; inset: 0; display: grid; place-items: center; pointer-events: none; }
.graph-note .note { pointer-events: auto; margin: 1rem; }
.signal-metrics { --signal: var(--metrics); }
.signal-logs { --signal: var(--logs); }
.signal-traces { --signal: var(--traces); }
.signal-profiles { --signal: var(--profiles); }
.signal-otlp { --signal: var(--otlp); }
.signal-targets { --signal: var(--targets); }
.edge-line { fill: none; stroke: var(--signal, var(--quiet)); stroke-opacity: .75; stroke-linecap: butt; }
.edge-reach { fill: none; stroke: transparent; stroke-width: 14; }
.edge.idle .edge-line { stroke-opacity: .45; stroke-dasharray: 5 4; }
.edge:hover .edge-line, .edge.lit .edge-line { stroke-opacity: 1; }
.edge.dim .edge-line { stroke-opacity: .12; }
.module-frame { fill: var(--panel); fill-opacity: .55; stroke: var(--line); stroke-dasharray: 6 4; stroke-width: 1.4; }
.module-title { cursor: pointer; }
.graph .module-title text { fill: var(--quiet); font-weight: 600; }
.module-title:focus, .node:focus { outline: none; }
.module-title:focus-visible .fold { stroke: var(--accent); stroke-width: 2; }
.fold { fill: var(--accent-ground); stroke: transparent; }
.graph .fold-sign { fill: var(--accent); text-anchor: middle; font-weight: 700; }
.unfold { cursor: pointer; }
.node { cursor: pointer; }
.node-card { fill: var(--panel); stroke: var(--line); stroke-width: 1.2; filter: drop-shadow(0 1px 2px rgb(20 30 50 / 12%)); }
.node:hover .node-card { stroke: var(--quiet); }
.node.selected .node-card, .node:focus-visible .node-card { stroke: var(--accent); stroke-width: 2.4; }
.node.found .node-card { stroke: var(--warn); stroke-width: 2.4; }
.node.unhealthy .node-card, .node.exited .node-card { fill: var(--bad-ground); stroke: var(--bad); }
.node-bar { fill: var(--targets); }
.node.healthy .node-bar { fill: var(--good); }
.node.unhealthy .node-bar, .node.exited .node-bar { fill: var(--bad); }
.node.unknown .node-bar { fill: var(--warn); }
.node.dim { opacity: .28; }
.graph .node-kind { fill: var(--quiet); font-size: 11px; }
.graph .node-label { font-weight: 650; font-size: 14px; }
.graph .node-flow, .graph .node-held { font-size: 11.5px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.graph .node-held { text-anchor: end; }
.graph .drop-text { text-anchor: end; font-size: 10.5px; font-weight: 650; }
.drop-shape { stroke-width: 1.2; }
.drop .drop-shape { fill: var(--panel); stroke: var(--bad); }
.graph .drop .drop-text { fill: var(--bad); }
.drop.now.loss .drop-shape { fill: #c9252d; stroke: #c9252d; }
.graph .drop.now.loss .drop-text { fill: #fff; }
.drop.past { opacity: .8; }
.far .node-kind, .far .node-flow, .far .node-held, .far .drop-text { display: none; }
.zoom { position: absolute; right: 1rem; bottom: 1rem; display: flex; flex-direction: column; gap: .35rem; }
.zoom button { width: 2.3rem; justify-content: center; padding: 0; box-shadow: var(--shadow); }
.legend { position: absolute; left: 1rem; bottom: 1rem; background: var(--panel); border: 1px solid var(--line); border-radius: 10px;
    padding: .4rem .8rem; font-size: .82rem; box-shadow: var(--shadow); max-width: calc(100% - 5.5rem); }
.legend ul { list-style: none; padding: 0; margin: .5rem 0 .2rem; display: grid; grid-template-columns: repeat(2, auto); gap: .2rem 1.2rem; }
.legend li { display: flex; align-items: center; gap: .4rem; }
.pill { font-style: normal; font-size: .72rem; font-weight: 650; border-radius: 99px; padding: 0 .45rem; border: 1px solid var(--bad); color: var(--bad); }
.pill.loss { background: #c9252d; color: #fff; }
.selection { position: absolute; top: 1rem; right: 1rem; width: 21rem; max-height: calc(100% - 2rem); overflow: auto; background: var(--panel);
    border: 1px solid var(--line); border-radius: 12px; box-shadow: var(--shadow); padding: 1rem 1.1rem; }
.selection h2 { margin: 0; overflow-wrap: anywhere; font-size: 1.15rem; }
.selection .kind { margin: 0; overflow-wrap: anywhere; }
.selection .close { position: absolute; top: .6rem; right: .6rem; border: 0; background: none; font-size: 1.2rem; padding: 0 .5rem; }
.selection .message { font-size: .9rem; overflow-wrap: anywhere; }
.selection .ledger { font-size: .85rem; }
.drops { list-style: none; margin: 0; padding: 0; color: var(--bad); font-size: .88rem; }
.actions { display: flex; flex-wrap: wrap; gap: .5rem; }

@media (max-width: 1400px) { .totals > span:not(.state) { display: none; } }

@media (max-width: 760px) {
    #bar { flex-wrap: wrap; gap: .3rem .8rem; padding: .5rem .8rem 0; }
    #bar nav { order: 3; flex-basis: 100%; padding-bottom: .4rem; }
    .totals { margin-left: auto; }
    main { padding: 1rem .8rem 2.5rem; }
    .view-pipeline { padding: 0; }
    .view-pipeline .tools { padding: .5rem .8rem; }
    input[type="search"] { width: 100%; flex: 1 1 10rem; }
    .selection { top: auto; left: .5rem; right: .5rem; bottom: .5rem; width: auto; max-height: 60%; }
    .legend ul { grid-template-columns: auto; }
    .values, .values tbody, .values tr, .values th, .values td { display: block; width: auto; }
    .values tr + tr > td { border-top: 0; }
    .values .values th { padding-left: .6rem; }
    .values .values td { padding-left: .6rem; }
    table.targets thead { display: none; }
    table.targets, table.targets tbody, table.targets tr, table.targets td { display: block; }
    table.targets tr { padding: .6rem .2rem; border-bottom: 1px solid var(--line); }
    table.targets td { border: 0; padding: .15rem .8rem; text-align: left; min-width: 0; max-width: none; }
    table.targets tr.detail > td { padding: .3rem .4rem; }
    table.label-table tr > * { display: block; padding: .1rem .3rem; }
    table.label-table td::before { content: attr(data-title) ": "; color: var(--quiet); }
    table.targets tr.target > td.number::before, table.targets tr.target > td:nth-child(4)::before { content: attr(data-title) ": "; color: var(--quiet); }
    table.components thead { display: none; }
    table.components, table.components tbody { display: block; }
    table.components tr { display: flex; flex-wrap: wrap; padding: .55rem .8rem; border-bottom: 1px solid var(--line); gap: .15rem .9rem; }
    table.components td { display: block; border: 0; padding: 0; min-width: 0; }
    table.components td:nth-child(-n + 2) { flex-basis: 100%; }
    table.components td.number::before { content: attr(data-title) " "; color: var(--quiet); }
    .stream li { flex-wrap: wrap; gap: .1rem .6rem; }
    .stream .text { flex-basis: 100%; }
}

@media (prefers-reduced-motion: no-preference) {
    .node, .edge-line { transition: opacity .15s, stroke-opacity .15s; }
}

/* Explanations */
.explain { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: .8rem 1.1rem; box-shadow: var(--shadow); }
.explain-fields { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); gap: 0 1rem; }
.explain .field { margin: .5rem 0; min-width: 0; }
.explain label { display: block; font-size: .82rem; color: var(--quiet); margin-bottom: .2rem; }
.explain select, .explain input, .explain textarea { width: 100%; min-width: 0; max-width: 100%; background: var(--raised);
    border: 1px solid var(--line); border-radius: 8px; padding: .38rem .6rem; color: var(--text); }
.explain input, .explain textarea { font: .88rem/1.5 var(--mono); }
.explain textarea { resize: vertical; }
.stops, .steps, .results, .diff { list-style: none; margin: 0; padding: 0; }
.stop { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: .8rem 1.1rem; margin: 1rem 0;
    box-shadow: var(--shadow); min-width: 0; }
.stop h2 { overflow-wrap: anywhere; margin-bottom: .2rem; }
.stop-number { color: var(--quiet); font-variant-numeric: tabular-nums; }
.stop .kind { overflow-wrap: anywhere; }
.step { border-left: 2px solid var(--line); padding: .1rem 0 .1rem .8rem; margin: .5rem 0; }
.step p { margin: .2rem 0; }
.badge.changed { background: var(--accent-ground); color: var(--accent); border-color: transparent; }
.diff { font-family: var(--mono); font-size: .84rem; }
.diff li { overflow-wrap: anywhere; padding: 0 .4rem; border-radius: 4px; }
.diff .minus { background: var(--bad-ground); color: var(--bad); }
.diff .plus { background: var(--good-ground); color: var(--good); }
.results { border-top: 1px solid var(--line); margin-top: .6rem; padding-top: .4rem; }
.results li { padding: .2rem 0; overflow-wrap: anywhere; }
.item-line { display: block; white-space: pre-wrap; overflow-wrap: anywhere; }
.explain-note { display: block; color: var(--warn); font-size: .9rem; overflow-wrap: anywhere; }
.step pre { margin: .3rem 0; }

/* Explore */
.error { color: var(--bad); }
.time-plot { margin: .6rem 0; padding: .7rem; background: var(--panel); border: 1px solid var(--line); border-radius: 12px; box-shadow: var(--shadow); }
.time-plot svg { display: block; width: 100%; height: auto; touch-action: pan-y; }
.time-plot .grid line { stroke: var(--line); }
.time-plot .grid text { fill: var(--quiet); font-size: 13px; text-anchor: middle; font-variant-numeric: tabular-nums; }
.time-plot .grid text.value, .time-plot .grid text.last { text-anchor: end; }
.time-plot .grid text.first { text-anchor: start; }
.time-plot .plot-line { stroke-linecap: round; }
.time-plot .cursor { stroke: var(--quiet); stroke-dasharray: 3 3; }
.readout { font-size: .82rem; color: var(--quiet); min-height: 2.6em; margin: .3rem 0 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.line-0 { stroke: var(--metrics); --key: var(--metrics); }
.line-1 { stroke: var(--logs); --key: var(--logs); }
.line-2 { stroke: var(--traces); --key: var(--traces); }
.line-3 { stroke: var(--warn); --key: var(--warn); }
.line-4 { stroke: var(--good); --key: var(--good); }
.line-5 { stroke: var(--profiles); --key: var(--profiles); }
.line-6 { stroke: var(--bad); --key: var(--bad); }
.line-7 { stroke: var(--targets); --key: var(--targets); }
.explore-legend, .explore-index ul { list-style: none; margin: .4rem 0; padding: 0; }
.explore-legend li { display: flex; justify-content: space-between; align-items: center; gap: 1rem; border-bottom: 1px solid var(--line); }
.explore-legend button { text-align: left; min-height: 0; padding: .25rem .2rem; background: none; min-width: 0; font-family: var(--mono); font-size: .8rem; }
.explore-legend button[aria-pressed="false"] { opacity: .5; text-decoration: line-through; }
.explore-legend b { font-variant-numeric: tabular-nums; }
.explore-legend .key { flex: none; width: .8rem; height: .8rem; border-radius: 3px; background: var(--key); }
.explore-index ul { columns: 17rem; }
.explore-index button { min-height: 0; padding: .15rem .2rem; font-family: var(--mono); font-size: .8rem; overflow-wrap: anywhere; text-align: left; }
.stream.entries li { display: block; padding: 0; border-left: 3px solid transparent; }
.stream.entries li.caution { border-left-color: var(--warn); }
.stream.entries li.failed { border-left-color: var(--bad); }
.entries .line { display: flex; align-items: flex-start; gap: .7rem; width: 100%; min-height: 0; padding: .2rem .7rem; border: 0; border-radius: 0;
    background: none; text-align: left; font: inherit; }
.entry-detail, .span-detail { padding: .3rem .9rem .7rem; background: var(--raised); }
.traces td:first-child { min-width: 12rem; overflow-wrap: anywhere; }
.traces button { padding: 0; min-height: 0; text-align: left; }
.waterfall { list-style: none; margin: .6rem 0; padding: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
.waterfall > li { border-bottom: 1px solid var(--line); }
.waterfall > li:last-child { border-bottom: 0; }
.waterfall li.failed .span-name b { color: var(--bad); }
.waterfall .span { display: grid; grid-template-columns: minmax(0, 18rem) minmax(0, 1fr) 5rem; gap: .8rem; width: 100%; border: 0; border-radius: 0;
    background: none; text-align: left; min-height: 0; padding: .3rem .7rem; }
.span-name { display: flex; flex-direction: column; overflow-wrap: anywhere; min-width: 0; }
.waterfall svg { width: 100%; height: 1.3rem; }
.waterfall rect { fill: var(--traces); }
.waterfall rect.failed { fill: var(--bad); }
.depth-1 { padding-left: .8rem; } .depth-2 { padding-left: 1.6rem; } .depth-3 { padding-left: 2.4rem; } .depth-4 { padding-left: 3.2rem; }
.depth-5 { padding-left: 4rem; } .depth-6 { padding-left: 4.6rem; } .depth-7 { padding-left: 5.2rem; } .depth-8 { padding-left: 5.8rem; }
.depth-9 { padding-left: 6.2rem; } .depth-10 { padding-left: 6.6rem; } .depth-11 { padding-left: 7rem; } .depth-12 { padding-left: 7.4rem; }
@media (max-width: 760px) { .waterfall .span { grid-template-columns: minmax(0, 1fr) auto; } .waterfall svg { grid-column: 1 / -1; grid-row: 2; } }

"""###),
        ConsoleAsset(name: "dom.js", type: "text/javascript; charset=utf-8", tag: "129984683eeef4304068", text: ###"""
// Elements from data. Text becomes text nodes and nothing is ever parsed as markup, so hostile names stay names.

const svgNamespace = "http://www.w3.org/2000/svg";

function build(element, properties, children) {
    for (const [name, value] of Object.entries(properties ?? {})) {
        if (value === undefined || value === null || value === false) continue;
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else element.setAttribute(name, value === true ? "" : String(value));
    }
    append(element, children);
    return element;
}

function append(element, children) {
    for (const child of children) {
        if (child === undefined || child === null || child === false) continue;
        if (Array.isArray(child)) append(element, child);
        else element.append(child instanceof Node ? child : String(child));
    }
}

/** An HTML element: h("a", {href, class, onclick}, "text", element, ...). */
export function h(tag, properties, ...children) {
    return build(document.createElement(tag), properties, children);
}

/** An SVG element. */
export function s(tag, properties, ...children) {
    return build(document.createElementNS(svgNamespace, tag), properties, children);
}

/** Sets the text of an element when it differs. */
export function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute when it differs; null removes it. */
export function setAttribute(element, name, value) {
    if (value === null) element.removeAttribute(name);
    else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A link inside the console; main.js takes the click. */
export function link(path, properties, ...children) {
    return h("a", { href: path === "" ? "./" : path, "data-view": true, ...properties }, ...children);
}

/** The path of a component's page. */
export function componentPath(id) {
    return "component/" + id.split("/").map(encodeURIComponent).join("/");
}

/** What stands where there is nothing: what that means and what to do. */
export function note(title, ...explanation) {
    return h("div", { class: "note" }, h("h2", {}, title), h("p", {}, ...explanation));
}

"""###),
        ConsoleAsset(name: "dropped-targets.js", type: "text/javascript; charset=utf-8", tag: "e787c172275594ee19ae", text: ###"""
// The targets that rules dropped before they were scraped: which rule, of which component.

import { componentPath, h, link } from "./dom.js";
import { full } from "./format.js";
import { getJSON } from "./store.js";
import { labelList } from "./target-detail.js";

/** A section that asks when it is opened: finding out runs every rule on every target. */
export function droppedTargets() {
    const area = h("div");
    const load = async () => {
        again.disabled = true;
        try {
            area.replaceChildren(...parts(await getJSON("api/v0/console/targets/dropped")));
        } catch (error) {
            area.replaceChildren(h("p", { class: "error" }, `The dropped targets cannot be read: ${error.message}`));
        }
        again.disabled = false;
    };
    const again = h("button", { type: "button", onclick: load }, "Look again");
    const section = h("details", {
        class: "pool dropped", ontoggle: () => { if (section.open && area.children.length === 0) load(); },
    }, h("summary", {}, h("b", {}, "Dropped targets")), h("p", { class: "tools" }, again,
        h("span", { class: "kind" }, "Targets that relabel rules keep from being scraped, as the rules stand now.")), area);
    return section;
}

function parts(answer) {
    if (answer.total === 0) {
        return [h("p", { class: "empty" }, "No rule drops a target now. If one is missing, the discovery has not found it: look at "
            + "the exports of the discovery component.")];
    }
    const shown = answer.sources.reduce((sum, source) => sum + source.items.length, 0);
    return [
        h("p", {}, `${full(answer.total)} dropped`, shown < answer.total && `, the first ${full(shown)} are shown`),
        ...answer.sources.map((source) => h("section", { class: "dropped-by" },
            h("h3", {}, link(componentPath(source.component), {}, source.component), source.job && ` ${source.job}`,
                `: ${full(source.total)}`),
            source.items.length > 0 && h("div", { class: "scroll" }, h("table", { class: "rows targets" },
                h("thead", {}, h("tr", {}, ["Rule", "Labels before the rules"].map((title) => h("th", { scope: "col" }, title)))),
                h("tbody", {}, source.items.map((item) => h("tr", {},
                    h("td", { class: "wrap" }, `rule ${item.number}: `, h("code", {}, item.rule)),
                    h("td", {}, labelList(item.labels))))))))),
    ];
}

"""###),
        ConsoleAsset(name: "explore-logs.js", type: "text/javascript; charset=utf-8", tag: "8b694f3fece7ddb96c88", text: ###"""
// Log entries of a store as they come, with search.

import { h, setText } from "./dom.js";
import { absolute } from "./format.js";

/** Rows kept on the page; older ones go. */
const most = 1000;

function level(entry) {
    const named = entry.labels.level ?? entry.labels.severity ?? entry.metadata.level ?? "";
    const word = /^(fatal|crit|err|warn)/i.exec(named) ?? /\b(fatal|critical|error|warn(?:ing)?)\b/i.exec(entry.line.slice(0, 200));
    if (!word) return "";
    return word[1].toLowerCase().startsWith("warn") ? "caution" : "failed";
}

function milliseconds(timestamp) { return Number(BigInt(timestamp) / 1_000_000n); }

function pairs(title, object) {
    const entries = Object.entries(object);
    if (entries.length === 0) return null;
    return [h("h3", {}, title), h("p", {}, entries.map(([name, value]) =>
        h("span", { class: "label" }, h("span", {}, name), "=", JSON.stringify(value))))];
}

export function logsPane(ask, { query, remember, refresh }) {
    let match = query.get("match") ?? "";
    let text = query.get("text") ?? "";
    let cursor = null;
    let isPaused = false;
    let shown = 0;

    const selector = h("input", {
        type: "search", placeholder: "{label=\"value\"}", "aria-label": "Streams", spellcheck: "false", value: match,
        autocomplete: "off",
    });
    const search = h("input", {
        type: "search", placeholder: "Text, or /expression/", "aria-label": "Search", spellcheck: "false", value: text,
        autocomplete: "off",
    });
    const pause = h("button", {
        type: "button", "aria-pressed": "false", onclick: () => {
            isPaused = !isPaused;
            pause.setAttribute("aria-pressed", String(isPaused));
            setText(pause, isPaused ? "Go on" : "Pause");
            if (!isPaused) refresh();
        },
    }, "Pause");
    const form = h("form", {
        class: "tools", onsubmit: (event) => {
            event.preventDefault();
            [match, text] = [selector.value.trim(), search.value.trim()];
            remember({ match, text });
            cursor = null;
            refresh();
        },
    }, selector, search, h("button", { type: "submit", class: "button" }, "Search"), pause);
    const summary = h("p", { class: "summary", role: "status" });
    const list = h("ol", { class: "stream entries", tabindex: 0, "aria-label": "Entries, newest first" });
    const element = h("div", {}, form, summary, list);

    function row(entry) {
        const time = milliseconds(entry.timestamp);
        const line = h("button", {
            type: "button", class: "line", "aria-expanded": "false", onclick: () => {
                const isOpen = detail.hidden;
                detail.hidden = !isOpen;
                line.setAttribute("aria-expanded", String(isOpen));
            },
        }, h("time", { title: absolute(time) }, new Date(time).toISOString().slice(11, 23)),
        h("span", { class: "text" }, entry.line === "" ? "(empty)" : entry.line));
        const detail = h("div", { class: "entry-detail", hidden: true }, pairs("Labels", entry.labels),
            pairs("Metadata", entry.metadata));
        return h("li", { class: level(entry) }, line, detail);
    }

    return {
        element,
        async refresh() {
            if (isPaused) return;
            const expression = /^\/(.+)\/$/.exec(text);
            const parameters = { match, limit: cursor === null ? 200 : 1000 };
            if (expression) parameters.regex = expression[1];
            else parameters.text = text;
            if (cursor !== null) parameters.after = cursor;
            const answer = await ask("logs", parameters);
            const rows = answer.entries.map(row).reverse();
            if (cursor === null) {
                list.replaceChildren(...rows);
                shown = rows.length;
            } else {
                list.prepend(...rows);
                shown += rows.length;
            }
            while (list.childElementCount > most) list.lastElementChild.remove();
            cursor = answer.cursor;
            setText(summary, shown === 0
                ? match === "" && text === "" ? "No entries have come yet." : "Nothing that came lately matches."
                : `${Math.min(shown, most)} entries, the newest first`);
        },
    };
}

"""###),
        ConsoleAsset(name: "explore-metrics.js", type: "text/javascript; charset=utf-8", tag: "9c1ce683fd3b620723d4", text: ###"""
// Series of a store as lines over time.

import { h, setText } from "./dom.js";
import { full, short } from "./format.js";
import { TimePlot, colourClass } from "./time-plot.js";

/** Names that are offered while one types. */
const suggestions = 200;
/** Milliseconds a plot shows at least. */
const shortest = 30_000;

function title(labels) {
    const { __name__: name = "", ...rest } = labels;
    const pairs = Object.entries(rest).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
    return name + (pairs.length > 0 ? `{${pairs.join(", ")}}` : "");
}

export function metricsPane(ask, { query, remember, refresh }) {
    let match = query.get("match") ?? "";
    let minutes = Number(query.get("minutes")) || 15;
    let hiddenSeries = new Set();
    let rates = query.get("rate") ?? "auto";
    let isNew = true;

    const input = h("input", {
        type: "search", id: "explore-match", list: "explore-names", placeholder: "name{label=\"value\"}",
        "aria-label": "Series", autocomplete: "off", spellcheck: "false", value: match,
    });
    const names = h("datalist", { id: "explore-names" });
    const form = h("form", {
        class: "tools", onsubmit: (event) => {
            event.preventDefault();
            look(input.value.trim());
        },
    }, input, names, h("button", { type: "submit", class: "button" }, "Plot"),
    select("Time", [[1, "1 min"], [5, "5 min"], [15, "15 min"], [60, "1 h"]], minutes, (value) => {
        minutes = Number(value);
        remember({ minutes: String(minutes) });
    }),
    select("Counters", [["auto", "rates of counters"], ["true", "rates"], ["false", "values"]], rates, (value) => {
        rates = value;
        remember({ rate: rates });
    }));
    const summary = h("p", { class: "summary", role: "status" });
    const plot = new TimePlot();
    const legend = h("ul", { class: "explore-legend", "aria-label": "Series" });
    const index = h("div", { class: "explore-index" });
    const element = h("div", {}, form, summary, plot.element, legend, index);

    function select(label, options, chosen, changed) {
        const list = h("select", { "aria-label": label, onchange: () => { changed(list.value); refresh(); } },
            options.map(([value, text]) => h("option", { value, selected: String(value) === String(chosen) }, text)));
        return list;
    }

    function look(next) {
        match = next;
        input.value = next;
        hiddenSeries = new Set();
        isNew = true;
        remember({ match });
        refresh();
    }

    async function offerNames() {
        const { values } = await ask("values", { kind: "metrics", name: "__name__", limit: suggestions * 10 });
        names.replaceChildren(...values.slice(0, suggestions).map((value) => h("option", { value })));
        index.replaceChildren(values.length === 0
            ? h("p", { class: "empty" }, "No samples have come yet.")
            : h("ul", {}, values.map((value) => h("li", {},
                h("button", { type: "button", class: "quiet", onclick: () => look(value) }, value)))));
    }

    function drawLegend(series) {
        legend.replaceChildren(...series.map((one, place) => {
            const name = title(one.labels);
            const last = one.points.findLast((point) => point[1] !== null);
            return h("li", {}, h("button", {
                type: "button", class: "quiet", "aria-pressed": String(!hiddenSeries.has(name)), onclick: () => {
                    if (!hiddenSeries.delete(name)) hiddenSeries.add(name);
                    refresh();
                },
            }, h("span", { class: `key ${colourClass(place)}` }), h("span", { class: "wrap" }, name)),
            h("b", { title: last ? full(last[1]) : "" }, last ? short(last[1]) : "\u2013"));
        }));
    }

    return {
        element,
        async refresh() {
            index.hidden = match !== "";
            plot.element.hidden = match === "";
            legend.hidden = match === "";
            if (match === "") {
                setText(summary, "Choose a metric, or write a selector.");
                await offerNames();
                return;
            }
            const now = Date.now();
            const wanted = { match, start: now - minutes * 60_000, end: now, points: 400 };
            let answer = await ask("range", { ...wanted, rate: rates === "true" ? "true" : "false" });
            let isRate = rates === "true";
            if (rates === "auto" && answer.series.length > 0 && answer.series.every((one) => one.type === "counter")) {
                answer = await ask("range", { ...wanted, rate: "true" });
                isRate = true;
            }
            const found = `${answer.series.length}${answer.truncated ? " of more" : ""} series`;
            setText(summary, answer.series.length === 0
                ? "Nothing matches. The metric may not have come yet, or its labels may be others."
                : `${found}, ${isRate ? "increase a second" : "values"}`);
            if (isNew) {
                isNew = false;
                offerNames();
            }
            drawLegend(answer.series);
            // What is there fills the plot, however short it is yet.
            const earliest = Math.min(wanted.end - shortest, ...answer.series.map((one) => one.points[0]?.[0] ?? wanted.end));
            plot.draw(answer.series.map((one, place) => ({ name: title(one.labels), place, points: one.points }))
                .filter((one) => !hiddenSeries.has(one.name)), Math.max(wanted.start, earliest), wanted.end, isRate ? "/s" : "");
        },
    };
}

"""###),
        ConsoleAsset(name: "explore-traces.js", type: "text/javascript; charset=utf-8", tag: "aef850b6a0b4f807a110", text: ###"""
// Traces of a store: a list, and the spans of one as a waterfall.

import { h, s, setText } from "./dom.js";
import { absolute, span as spanText } from "./format.js";

/** Depth beyond which spans are no longer moved in. */
const deepest = 12;

/** Spans in the order of a tree, each with its depth; what has no parent here stands at the top. */
function tree(spans) {
    const children = new Map();
    const ids = new Set(spans.map((one) => one.id));
    for (const one of spans) {
        const parent = ids.has(one.parent) && one.parent !== one.id ? one.parent : "";
        if (!children.has(parent)) children.set(parent, []);
        children.get(parent).push(one);
    }
    const rows = [];
    const seen = new Set();
    const waiting = (children.get("") ?? []).map((one) => ({ one, depth: 0 })).reverse();
    while (waiting.length > 0) {
        const { one, depth } = waiting.pop();
        if (seen.has(one)) continue;
        seen.add(one);
        rows.push({ one, depth });
        for (const child of (children.get(one.id) ?? []).toReversed()) waiting.push({ one: child, depth: depth + 1 });
    }
    // Spans that are each other's parents.
    for (const one of spans) if (!seen.has(one)) rows.push({ one, depth: 0 });
    return rows;
}

function attributes(title, object) {
    const entries = Object.entries(object);
    if (entries.length === 0) return null;
    return [h("h3", {}, title), h("dl", { class: "pairs" }, entries.map(([name, value]) =>
        [h("dt", {}, name), h("dd", {}, value)]))];
}

function waterfall(trace) {
    const start = Math.min(...trace.spans.map((one) => one.start));
    const whole = Math.max(...trace.spans.map((one) => one.start + one.duration)) - start || 1;
    return h("ol", { class: "waterfall", "aria-label": "Spans" }, tree(trace.spans).map(({ one, depth }) => {
        const detail = h("div", { class: "span-detail", hidden: true },
            h("p", {}, `${one.kind}, began ${absolute(one.start)}, `, one.message && h("span", { class: "bad" }, one.message)),
            attributes("Attributes", one.attributes), attributes("Resource", one.resource),
            one.events.length > 0 && [h("h3", {}, "Events"), h("ul", {}, one.events.map((event) => h("li", {},
                `${spanText((event.time - one.start) / 1000)} ${event.name} `, attributes("", event.attributes))))]);
        const button = h("button", {
            type: "button", class: "span", "aria-expanded": "false", onclick: () => {
                detail.hidden = !detail.hidden;
                button.setAttribute("aria-expanded", String(!detail.hidden));
            },
        }, h("span", { class: `span-name depth-${Math.min(depth, deepest)}` }, h("b", {}, one.name), h("span", { class: "kind" }, one.service)),
        s("svg", { viewBox: "0 0 1000 20", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", {
            class: one.status === "error" ? "failed" : "", y: 4, height: 12, x: ((one.start - start) / whole * 1000).toFixed(1),
            width: Math.max(3, one.duration / whole * 1000).toFixed(1),
        })), h("span", { class: "number" }, spanText(one.duration / 1000)));
        return h("li", { class: one.status === "error" ? "failed" : "", "data-depth": depth }, button, detail);
    }));
}

export function tracesPane(ask, { query, remember, refresh }) {
    let id = query.get("trace") ?? "";
    let drawn = "";
    const filters = { service: query.get("service") ?? "", name: query.get("name") ?? "", errors: "", min_duration: "" };

    const input = (name, label) => h("input", {
        type: "search", placeholder: label, "aria-label": label, value: filters[name], autocomplete: "off",
        onchange: (event) => {
            filters[name] = event.target.value.trim();
            remember({ [name]: filters[name] });
            refresh();
        },
    });
    const errors = h("button", {
        type: "button", "aria-pressed": "false", onclick: () => {
            filters.errors = filters.errors === "" ? "true" : "";
            errors.setAttribute("aria-pressed", String(filters.errors !== ""));
            refresh();
        },
    }, "Errors only");
    const summary = h("p", { class: "summary", role: "status" });
    const body = h("tbody");
    const table = h("div", { class: "scroll" }, h("table", { class: "rows traces" }, h("thead", {}, h("tr", {},
        ["Trace", "Began", "Took", "Spans", "Errors"].map((title, place) =>
            h("th", { scope: "col", class: place > 1 ? "number" : "" }, title)))), body));
    const tools = h("div", { class: "tools" }, input("service", "Service"), input("name", "Name of a span"), errors);
    const one = h("div", { hidden: true });
    const element = h("div", {}, tools, summary, table, one);

    function open(next) {
        id = next;
        remember({ trace: id });
        refresh();
    }

    async function showOne() {
        const trace = await ask("trace", { id });
        const key = `${id} ${trace.spans.length}`;
        if (key === drawn) return;
        drawn = key;
        one.replaceChildren(h("p", { class: "tools" }, h("button", { type: "button", onclick: () => open("") }, "All traces"),
            h("code", { class: "wrap" }, id)), waterfall(trace));
        setText(summary, `${trace.spans.length} spans`);
    }

    return {
        element,
        async refresh() {
            tools.hidden = table.hidden = id !== "";
            one.hidden = id === "";
            if (id !== "") return showOne();
            drawn = "";
            const { traces, truncated } = await ask("traces", filters);
            setText(summary, traces.length === 0 ? "No traces have come lately, or none matches."
                : `${traces.length}${truncated ? " of more" : ""} traces, the newest first`);
            if (body.contains(document.activeElement)) return;
            body.replaceChildren(...traces.map((trace) => h("tr", { class: trace.errors > 0 ? "bad" : "" },
                h("td", {}, h("button", { type: "button", class: "quiet", onclick: () => open(trace.id) }, trace.name || "(no name)"),
                    h("span", { class: "kind" }, ` ${trace.services.join(", ")}`)),
                h("td", {}, h("moment-text", { at: trace.start })), h("td", { class: "number" }, spanText(trace.duration / 1000)),
                h("td", { class: "number" }, trace.spans), h("td", { class: "number" }, trace.errors))));
        },
    };
}

"""###),
        ConsoleAsset(name: "format.js", type: "text/javascript; charset=utf-8", tag: "28456acf8e5722168963", text: ###"""
// Numbers with units, and times as people read them.

const steps = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

function digits(value) {
    const size = Math.abs(value);
    return value.toFixed(size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2);
}

/** A count in few characters: 950, 1.25k, 36.4k. */
export function short(value) {
    if (!Number.isFinite(value)) return "\u2013";
    for (const [size, unit] of steps) if (Math.abs(value) >= size * 0.9995) return digits(value / size) + unit;
    return digits(value);
}

/** A count in full, digits in groups. */
export function full(value) {
    return Number.isFinite(value) ? value.toLocaleString("en-US", { maximumFractionDigits: 3 }) : "\u2013";
}

/** Per second. */
export function rate(value) {
    if (!Number.isFinite(value)) return "\u2013";
    if (value > 0 && value < 0.01) return "<0.01/s";
    return short(value) + "/s";
}

export function bytes(value) {
    if (!Number.isFinite(value)) return "\u2013";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (Math.abs(value) >= 1024 && unit < units.length - 1) {
        value /= 1024;
        unit += 1;
    }
    return digits(unit === 0 ? Math.round(value) : value) + " " + units[unit];
}

/** A time span given in seconds. */
export function span(seconds) {
    if (!Number.isFinite(seconds)) return "\u2013";
    if (seconds < 1e-3) return digits(seconds * 1e6) + " \u00b5s";
    if (seconds < 1) return digits(seconds * 1e3) + " ms";
    if (seconds < 60) return digits(seconds) + " s";
    const whole = Math.floor(seconds);
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
    return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
}

/** Seconds of a Go duration such as 1m30.5s; NaN when it is none. */
export function parseSpan(text) {
    const sizes = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, "\u00b5s": 1e-6, ns: 1e-9 };
    let total = 0;
    let rest = text;
    while (rest !== "") {
        const match = /^([0-9.]+)(h|ms|m|s|us|\u00b5s|ns)/.exec(rest);
        if (!match) return text === "0" ? 0 : NaN;
        total += Number(match[1]) * sizes[match[2]];
        rest = rest.slice(match[0].length);
    }
    return total;
}

/** A moment in full, with its zone. */
export function absolute(milliseconds) {
    return new Date(milliseconds).toLocaleString("en-GB", {
        year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
        timeZoneName: "short",
    });
}

/** How long ago, coarsely. */
export function ago(milliseconds, now = Date.now()) {
    const seconds = (now - milliseconds) / 1000;
    if (seconds < -5) return "in " + span(Math.round(-seconds));
    if (seconds < 1.5) return "just now";
    if (seconds < 60) return `${Math.round(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    return span(Math.floor(seconds)) + " ago";
}

/** What is planned: how long until then. */
export function ahead(milliseconds, now = Date.now()) {
    const seconds = (milliseconds - now) / 1000;
    return seconds < 1 ? "now" : "in " + span(Math.round(seconds));
}

/** `<moment-text at="MILLISECONDS">`: how long ago, or with `ahead` how long until then, kept current; the moment itself in
 * the tooltip. */
class MomentText extends HTMLElement {
    static observedAttributes = ["at"];
    static all = new Set();

    connectedCallback() {
        MomentText.all.add(this);
        this.refresh();
    }

    disconnectedCallback() { MomentText.all.delete(this); }

    attributeChangedCallback() { this.refresh(); }

    refresh() {
        const at = Number(this.getAttribute("at"));
        const text = at > 0 ? (this.hasAttribute("ahead") ? ahead : ago)(at) : "never";
        if (this.textContent !== text) this.textContent = text;
        const title = at > 0 ? absolute(at) : "";
        if (this.title !== title) this.title = title;
    }
}

customElements.define("moment-text", MomentText);
setInterval(() => { for (const element of MomentText.all) element.refresh(); }, 1000);

"""###),
        ConsoleAsset(name: "graph-camera.js", type: "text/javascript; charset=utf-8", tag: "32227ddfa4e40e0b4cb2", text: ###"""
// What part of the graph the window shows, and how wheels, fingers and keys move it.

/** Moves `scene` within `element`. `onEmptyClick()` is called for a click beside everything and for Escape, `onFocus(id)`
 * when the keyboard reaches a node outside of the window. */
export class Camera {
    /** The width and height of the drawing. */
    size = { width: 0, height: 0 };
    #transform = { x: 0, y: 0, scale: 1 };

    constructor(element, scene, actions) {
        this.element = element;
        this.scene = scene;
        this.#listen(actions);
    }

    #apply() {
        const { x, y, scale } = this.#transform;
        this.scene.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${scale.toFixed(4)})`);
        this.element.classList.toggle("far", scale < 0.42);
    }

    zoom(factor, at) {
        const area = this.element.getBoundingClientRect();
        const point = at ?? { x: area.width / 2, y: area.height / 2 };
        const before = this.#transform;
        const scale = Math.min(2.5, Math.max(0.04, before.scale * factor));
        const ratio = scale / before.scale;
        this.#transform = { scale, x: point.x - (point.x - before.x) * ratio, y: point.y - (point.y - before.y) * ratio };
        this.#apply();
    }

    pan(dx, dy) {
        this.#transform.x += dx;
        this.#transform.y += dy;
        this.#apply();
    }

    /** Shows everything, but not smaller than `least`. */
    fit(least = 0) {
        const area = this.element.getBoundingClientRect();
        if (area.width === 0 || this.size.width === 0) return;
        const margin = area.width < 600 ? 14 : 32;
        const whole = Math.min((area.width - 2 * margin) / this.size.width, (area.height - 2 * margin) / this.size.height);
        const scale = Math.max(least, Math.min(1.15, whole));
        const [width, height] = [this.size.width * scale, this.size.height * scale];
        const isWide = area.width >= 600;
        this.#transform = {
            scale,
            x: width <= area.width - margin ? (area.width - width) / 2 : margin,
            y: height <= area.height - margin && isWide ? (area.height - height) / 2 : margin,
        };
        this.#apply();
    }

    /** Brings a point of the drawing to the middle, at a scale that can be read. */
    center(point) {
        const area = this.element.getBoundingClientRect();
        const scale = Math.max(this.#transform.scale, 0.7);
        this.#transform = { scale, x: area.width / 2 - point.x * scale, y: area.height / 2 - point.y * scale };
        this.#apply();
    }

    #listen({ onEmptyClick, onFocus }) {
        const pointers = new Map();
        let moved = 0;
        this.element.addEventListener("wheel", (event) => {
            event.preventDefault();
            const area = this.element.getBoundingClientRect();
            const step = event.deltaMode === 1 ? event.deltaY * 20 : event.deltaY;
            this.zoom(Math.exp(-step * 0.0016), { x: event.clientX - area.left, y: event.clientY - area.top });
        }, { passive: false });
        this.element.addEventListener("pointerdown", (event) => {
            pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
            moved = 0;
        });
        this.element.addEventListener("pointermove", (event) => {
            const last = pointers.get(event.pointerId);
            if (!last) return;
            const now = { x: event.clientX, y: event.clientY };
            moved += Math.hypot(now.x - last.x, now.y - last.y);
            if (moved < 4) return;
            if (!this.element.hasPointerCapture(event.pointerId)) this.element.setPointerCapture(event.pointerId);
            if (pointers.size === 1) this.pan(now.x - last.x, now.y - last.y);
            if (pointers.size === 2) {
                const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
                const ratio = Math.hypot(now.x - other.x, now.y - other.y) /
                    Math.max(1, Math.hypot(last.x - other.x, last.y - other.y));
                const area = this.element.getBoundingClientRect();
                this.zoom(ratio, { x: (now.x + other.x) / 2 - area.left, y: (now.y + other.y) / 2 - area.top });
            }
            pointers.set(event.pointerId, now);
        });
        for (const name of ["pointerup", "pointercancel"]) {
            this.element.addEventListener(name, (event) => pointers.delete(event.pointerId));
        }
        this.element.addEventListener("click", () => { if (moved < 4) onEmptyClick(); });
        this.element.addEventListener("keydown", (event) => {
            const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
            if (moves[event.key]) this.pan(...moves[event.key]);
            else if (event.key === "+" || event.key === "=") this.zoom(1.25);
            else if (event.key === "-") this.zoom(0.8);
            else if (event.key === "0") this.fit();
            else if (event.key === "Escape") onEmptyClick();
            else return;
            event.preventDefault();
        });
        this.element.addEventListener("focusin", (event) => {
            const node = event.target.closest?.(".node");
            if (!node || !node.matches(":focus-visible")) return;
            const [area, spot] = [this.element.getBoundingClientRect(), node.getBoundingClientRect()];
            if (spot.left < area.left || spot.right > area.right || spot.top < area.top || spot.bottom > area.bottom) {
                onFocus(node.dataset.id);
            }
        });
    }
}

"""###),
        ConsoleAsset(name: "graph-geometry.js", type: "text/javascript; charset=utf-8", tag: "c944d18dbfa4d52ff664", text: ###"""
// The measures of a drawing, and the heights of its items: as near to their neighbours as the order of each column
// allows, by isotonic regression.

export const sizes = { width: 216, height: 66, rowGap: 22, columnGap: 76, padding: 18, title: 32 };

/** Where an edge meets an item, from the item's top. */
export function offset(stop) {
    return stop.item.ports?.get(stop.port) ?? stop.item.height / 2;
}

/** Neighbours in the columns before and after, with where the edge meets them. */
export function neighbours(lanes) {
    const before = new Map();
    const after = new Map();
    const add = (map, key, entry) => {
        if (!map.has(key)) map.set(key, []);
        map.get(key).push(entry);
    };
    for (const lane of lanes) {
        for (let index = 1; index < lane.stops.length; index += 1) {
            const [left, right] = [lane.stops[index - 1], lane.stops[index]];
            add(after, left.item, { own: left, other: right });
            add(before, right.item, { own: right, other: left });
        }
    }
    return { before, after };
}

function gap(upper, lower) {
    return upper.isLane && lower.isLane ? 8 : upper.side && lower.side ? 8 : sizes.rowGap;
}

/** Heights: every item as near to its neighbours as its column's order allows. */
export function coordinates(rows, lanes) {
    const { before, after } = neighbours(lanes);
    for (const row of rows) {
        let y = 0;
        for (const [index, item] of row.entries()) {
            item.y = y;
            y += item.height + (index + 1 < row.length ? gap(item, row[index + 1]) : 0);
        }
        for (const item of row) item.y -= y / 2;
    }
    for (let round = 0; round < 14; round += 1) {
        const isForward = round % 2 === 0;
        const indices = [...rows.keys()];
        if (!isForward) indices.reverse();
        for (const index of indices) {
            const row = rows[index];
            const wishes = row.map((item) => {
                const near = round > 10
                    ? [...before.get(item) ?? [], ...after.get(item) ?? []]
                    : (isForward ? before : after).get(item) ?? [];
                if (near.length === 0) return { y: item.y, weight: 0.2 };
                const sum = near.reduce((total, entry) =>
                    total + entry.other.item.y + offset(entry.other) - offset(entry.own), 0);
                return { y: sum / near.length, weight: item.isLane ? 3 : 1 };
            });
            settle(row, wishes);
        }
    }
}

/** Least squares under the order of the column: neighbours that want the same room share it (pool adjacent violators). */
function settle(row, wishes) {
    const base = [];
    let y = 0;
    for (const [index, item] of row.entries()) {
        base.push(y);
        y += item.height + (index + 1 < row.length ? gap(item, row[index + 1]) : 0);
    }
    const blocks = [];
    for (const [index, wish] of wishes.entries()) {
        let block = { sum: (wish.y - base[index]) * wish.weight, weight: wish.weight, count: 1 };
        while (blocks.length > 0) {
            const above = blocks[blocks.length - 1];
            if (above.sum / above.weight <= block.sum / block.weight) break;
            blocks.pop();
            block = {
                sum: above.sum + block.sum, weight: above.weight + block.weight, count: above.count + block.count,
            };
        }
        blocks.push(block);
    }
    let index = 0;
    for (const block of blocks) {
        for (let taken = 0; taken < block.count; taken += 1, index += 1) {
            row[index].y = block.sum / block.weight + base[index];
        }
    }
}

"""###),
        ConsoleAsset(name: "graph-layers.js", type: "text/javascript; charset=utf-8", tag: "c9ae581d199d38699c51", text: ###"""
// The columns of a drawing: which item is in which, and the order within each with few crossings (by barycentres).

import { neighbours, offset } from "./graph-geometry.js";

/** Gives every item its column. */
export function layers(cluster) {
    const byID = new Map(cluster.items.map((item) => [item.id, item]));
    const next = new Map(cluster.items.map((item) => [item.id, []]));
    for (const link of cluster.links) next.get(link.from.id).push(link);
    const state = new Map();
    const sorted = [];
    // Depth first with a stack of our own; an edge back into the stack closes a cycle and is drawn backwards.
    for (const root of cluster.items) {
        if (state.has(root.id)) continue;
        state.set(root.id, "open");
        const stack = [{ id: root.id, index: 0 }];
        while (stack.length > 0) {
            const top = stack[stack.length - 1];
            const link = next.get(top.id)[top.index];
            top.index += 1;
            if (!link) {
                state.set(top.id, "done");
                sorted.unshift(top.id);
                stack.pop();
                continue;
            }
            const reached = state.get(link.to.id);
            link.isReversed = reached === "open";
            if (!reached) {
                state.set(link.to.id, "open");
                stack.push({ id: link.to.id, index: 0 });
            }
        }
    }
    const first = cluster.items.some((item) => item.side === "left") ? 1 : 0;
    const forward = new Map(cluster.items.map((item) => [item.id, []]));
    const incoming = new Map(cluster.items.map((item) => [item.id, 0]));
    for (const link of cluster.links) {
        const [from, to] = link.isReversed ? [link.to.id, link.from.id] : [link.from.id, link.to.id];
        if (from === to) continue;
        forward.get(from).push(to);
        incoming.set(to, incoming.get(to) + 1);
    }
    for (const item of cluster.items) item.column = item.side === "left" ? 0 : first;
    const queue = sorted.filter((id) => incoming.get(id) === 0);
    const passed = [];
    const open = new Map(incoming);
    while (queue.length > 0) {
        const id = queue.shift();
        passed.push(id);
        for (const to of forward.get(id)) {
            byID.get(to).column = Math.max(byID.get(to).column, byID.get(id).column + 1);
            open.set(to, open.get(to) - 1);
            if (open.get(to) === 0) queue.push(to);
        }
    }
    // Sources move next to what they feed.
    for (const id of passed.reverse()) {
        const item = byID.get(id);
        if (item.side || incoming.get(id) > 0 || forward.get(id).length === 0) continue;
        item.column = Math.max(first, Math.min(...forward.get(id).map((to) => byID.get(to).column)) - 1);
    }
    const last = Math.max(...cluster.items.map((item) => item.side === "right" ? 0 : item.column));
    for (const item of cluster.items) if (item.side === "right") item.column = last + 1;
    return cluster.items;
}

/** Rows of each column, with a place for every edge in every column it passes. */
export function withLanes(cluster, items) {
    const byID = new Map(items.map((item) => [item.id, item]));
    const rows = [];
    for (const item of items) (rows[item.column] ??= []).push(item);
    for (let index = 0; index < rows.length; index += 1) rows[index] ??= [];
    const lanes = cluster.links.map((link) => {
        const ends = [{ item: byID.get(link.from.id), port: link.from.port },
            { item: byID.get(link.to.id), port: link.to.port }];
        const isReversed = ends[0].item.column > ends[1].item.column;
        if (isReversed) ends.reverse();
        const stops = [ends[0]];
        for (let column = ends[0].item.column + 1; column < ends[1].item.column; column += 1) {
            const lane = { id: null, width: 0, height: 6, column, isLane: true };
            rows[column].push(lane);
            stops.push({ item: lane });
        }
        stops.push(ends[1]);
        return { key: link.key, stops, isReversed };
    });
    return { rows: rows.filter((row, index) => renumber(row, index)), lanes };
}

function renumber(row, index) {
    for (const item of row) item.column = index;
    return true;
}

/** Sorts each column so that few edges cross. */
export function order(rows, lanes) {
    const { before, after } = neighbours(lanes);
    const number = () => { for (const row of rows) row.forEach((item, index) => { item.rank = index; }); };
    const rank = (stop) => stop.item.rank + offset(stop) / Math.max(1, stop.item.height);
    number();
    let best = rows.map((row) => [...row]);
    let fewest = crossings(rows, after, rank);
    const rounds = lanes.length > 2000 ? 8 : 16;
    for (let round = 0; round < rounds && fewest > 0; round += 1) {
        const isForward = round % 2 === 0;
        const indices = [...rows.keys()];
        if (!isForward) indices.reverse();
        for (const index of indices) {
            const sides = isForward ? before : after;
            for (const item of rows[index]) {
                const near = sides.get(item);
                item.weight = near ? near.reduce((sum, entry) => sum + rank(entry.other), 0) / near.length : item.rank;
            }
            rows[index].sort((a, b) => a.weight - b.weight || a.rank - b.rank);
            rows[index].forEach((item, place) => { item.rank = place; });
        }
        const count = crossings(rows, after, rank);
        if (count < fewest) {
            fewest = count;
            best = rows.map((row) => [...row]);
        }
    }
    for (const [index, row] of best.entries()) rows[index] = row;
    number();
}

/** How many edges cross, counted between neighbouring columns. */
function crossings(rows, after, rank) {
    let total = 0;
    for (const row of rows) {
        const pairs = [];
        for (const item of row) {
            for (const entry of after.get(item) ?? []) pairs.push([rank(entry.own), rank(entry.other)]);
        }
        pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        total += inversions(pairs.map((pair) => pair[1]))[0];
    }
    return total;
}

function inversions(values) {
    if (values.length < 2) return [0, values];
    const middle = values.length >> 1;
    const [leftCount, left] = inversions(values.slice(0, middle));
    const [rightCount, right] = inversions(values.slice(middle));
    const merged = [];
    let count = leftCount + rightCount;
    let [i, j] = [0, 0];
    while (i < left.length || j < right.length) {
        if (j >= right.length || (i < left.length && left[i] <= right[j])) merged.push(left[i++]);
        else {
            count += left.length - i;
            merged.push(right[j++]);
        }
    }
    return [count, merged];
}

"""###),
        ConsoleAsset(name: "graph-layout.js", type: "text/javascript; charset=utf-8", tag: "690165b5e22de8538cd1", text: ###"""
// A layered drawing, left to right: modules are drawn first and then placed as boxes, edges that enter or leave a box
// do so through ports on its sides, edges over several columns keep a lane of their own in each.
// After Sugiyama, Tagawa and Toda (1981): layers and their order are in graph-layers.js, heights in graph-geometry.js.

import { coordinates, offset, sizes } from "./graph-geometry.js";
import { layers, order, withLanes } from "./graph-layers.js";

/**
 * Places nodes {id, parent}, groups {id, parent} and edges {id, from, to}; `parent` is the ID of a group or null.
 *
 * Returns {nodes: Map(id: {x, y, width, height}), groups: the same, edges: Map(id: [[x, y], ...]), width, height}.
 */
export function layout(nodes, groups, edges) {
    const parents = new Map();
    for (const entry of [...nodes, ...groups]) parents.set(entry.id, entry.parent);
    const levels = new Map([[null, newLevel()]]);
    for (const group of groups) levels.set(group.id, newLevel());
    for (const node of nodes) {
        levels.get(node.parent).items.set(node.id, { id: node.id, width: sizes.width, height: sizes.height });
    }
    const legs = new Map();
    for (const edge of edges) legs.set(edge.id, route(edge, parents, levels));
    const boxes = new Map();
    const root = drawLevel(null, groups, levels, boxes);
    const result = { nodes: new Map(), groups: new Map(), edges: new Map(), width: root.width, height: root.height };
    place(root, 0, 0, levels, boxes, nodes, result);
    for (const edge of edges) {
        const points = [];
        for (const leg of legs.get(edge.id)) {
            const origin = result.groups.get(leg.level) ?? { x: 0, y: 0 };
            const drawn = levels.get(leg.level).paths.get(leg.key);
            for (const [x, y] of drawn ?? []) points.push([x + origin.x, y + origin.y]);
        }
        result.edges.set(edge.id, points);
    }
    return result;
}

function newLevel() {
    return { items: new Map(), links: new Map(), paths: new Map() };
}

/** The parts of an edge, one for every level it passes. */
function route(edge, parents, levels) {
    const chain = (id) => {
        const groups = [];
        for (let parent = parents.get(id); parent !== null; parent = parents.get(parent)) groups.push(parent);
        return groups;
    };
    const [up, down] = [chain(edge.from), chain(edge.to)];
    while (up.length > 0 && down.length > 0 && up[up.length - 1] === down[down.length - 1]) {
        up.pop();
        down.pop();
    }
    const parts = [];
    const connect = (level, from, to) => {
        const key = JSON.stringify([from.id, from.port ?? "", to.id, to.port ?? ""]);
        levels.get(level).links.set(key, { key, from, to });
        parts.push({ level, key });
    };
    const port = (level, side, name) => {
        const id = JSON.stringify([side, name]);
        const items = levels.get(level).items;
        if (!items.has(id)) items.set(id, { id, width: 0, height: 8, side });
        return id;
    };
    let from = { id: edge.from };
    for (const group of up) {
        const id = port(group, "right", edge.to);
        connect(group, from, { id });
        from = { id: group, port: id };
    }
    const inner = [];
    let to = { id: edge.to };
    for (const group of down) {
        const id = port(group, "left", edge.from);
        inner.unshift([group, { id }, to]);
        to = { id: group, port: id };
    }
    const common = parents.get(up.length > 0 ? up[up.length - 1] : edge.from);
    connect(common, from, to);
    for (const [group, start, stop] of inner) connect(group, start, stop);
    return parts;
}

/** Draws what is inside a group, innermost first; coordinates are relative to the group. */
function drawLevel(id, groups, levels, boxes) {
    const level = levels.get(id);
    for (const group of groups) {
        if (group.parent !== id) continue;
        const box = drawLevel(group.id, groups, levels, boxes);
        level.items.set(group.id, { id: group.id, width: box.width, height: box.height, ports: box.ports });
    }
    const clusters = connected(level).map((cluster) => drawCluster(cluster, level));
    const box = id === null ? shelve(clusters) : stack(clusters);
    for (const cluster of clusters) {
        for (const [key, points] of cluster.paths) {
            level.paths.set(key, points.map(([x, y]) => [x + cluster.x, y + cluster.y]));
        }
        for (const item of cluster.items) {
            item.x += cluster.x;
            item.y += cluster.y;
        }
    }
    box.ports = new Map();
    for (const item of level.items.values()) {
        if (!item.side) continue;
        box.ports.set(item.id, item.y + item.height / 2);
        const edgeX = item.side === "left" ? 0 : box.width;
        for (const link of level.links.values()) {
            const points = level.paths.get(link.key);
            if (item.side === "left" && link.from.id === item.id) points.unshift([edgeX, points[0][1]]);
            if (item.side === "right" && link.to.id === item.id) points.push([edgeX, points[points.length - 1][1]]);
        }
    }
    boxes.set(id, box);
    return box;
}

function place(box, x, y, levels, boxes, nodes, result) {
    const wanted = new Set(nodes.map((node) => node.id));
    const walk = (level, left, top) => {
        for (const item of levels.get(level).items.values()) {
            const spot = { x: left + item.x, y: top + item.y, width: item.width, height: item.height };
            if (boxes.has(item.id)) {
                result.groups.set(item.id, spot);
                walk(item.id, spot.x, spot.y);
            } else if (wanted.has(item.id)) {
                result.nodes.set(item.id, spot);
            }
        }
    };
    walk(null, x, y);
}

/** The parts of a level that nothing joins, largest first; lone items together at the end. */
function connected(level) {
    const leader = new Map([...level.items.keys()].map((id) => [id, id]));
    const find = (id) => {
        while (leader.get(id) !== id) {
            leader.set(id, leader.get(leader.get(id)));
            id = leader.get(id);
        }
        return id;
    };
    for (const link of level.links.values()) leader.set(find(link.from.id), find(link.to.id));
    const clusters = new Map();
    for (const item of level.items.values()) {
        const root = find(item.id);
        if (!clusters.has(root)) clusters.set(root, { items: [], links: [] });
        clusters.get(root).items.push(item);
    }
    for (const link of level.links.values()) clusters.get(find(link.from.id)).links.push(link);
    return [...clusters.values()].sort((a, b) => b.items.length - a.items.length);
}

function drawCluster(cluster, level) {
    const columns = layers(cluster);
    const { rows, lanes } = withLanes(cluster, columns);
    order(rows, lanes);
    coordinates(rows, lanes);
    const columnX = [];
    const columnWidth = rows.map((row) => Math.max(0, ...row.map((item) => item.width)));
    let x = 0;
    for (let index = 0; index < rows.length; index += 1) {
        columnX.push(x);
        x += columnWidth[index];
        if (index + 1 < rows.length) {
            const isPort = rows[index].every((item) => item.side) || rows[index + 1].every((item) => item.side);
            x += isPort ? 24 : sizes.columnGap + Math.min(80, rows[index].length * 3);
        }
    }
    const top = Math.min(...rows.flat().map((item) => item.y));
    for (const [index, row] of rows.entries()) {
        for (const item of row) {
            item.x = columnX[index];
            item.y -= top;
        }
    }
    const paths = new Map();
    for (const lane of lanes) {
        const points = [];
        for (const [step, stop] of lane.stops.entries()) {
            const y = stop.item.y + offset(stop);
            const column = columnX[stop.item.column];
            const right = column + columnWidth[stop.item.column];
            if (step > 0) points.push([column, y]);
            if (step === 0) points.push([stop.item.x + stop.item.width, y]);
            if (step < lane.stops.length - 1 && points[points.length - 1][0] < right) points.push([right, y]);
        }
        paths.set(lane.key, lane.isReversed ? points.reverse() : points);
    }
    const bottom = Math.max(...rows.flat().map((item) => item.y + item.height));
    return { items: cluster.items, paths, width: x, height: bottom, x: 0, y: 0 };
}

/** Clusters of a module one below the other, with room for its title. */
function stack(clusters) {
    let y = sizes.title + sizes.padding / 2;
    let width = 0;
    for (const cluster of clusters) {
        const startsAtPort = cluster.items.some((item) => item.side === "left");
        cluster.x = startsAtPort ? 0 : sizes.padding;
        cluster.y = y;
        y += cluster.height + sizes.rowGap;
        const endsAtPort = cluster.items.some((item) => item.side === "right");
        width = Math.max(width, cluster.x + cluster.width + (endsAtPort ? 0 : sizes.padding));
    }
    if (clusters.length === 0) return { width: sizes.width, height: sizes.title + sizes.padding };
    return { width: Math.max(width, 180), height: y - sizes.rowGap + sizes.padding };
}

/** Clusters of the whole in rows, so that the whole fits a wide window at the largest scale. */
function shelve(clusters) {
    if (clusters.length === 0) return { width: 0, height: 0 };
    const widest = Math.max(...clusters.map((one) => one.width));
    let best = null;
    for (let columns = 1; columns <= 12; columns += 1) {
        const limit = Math.max(900, columns * (widest + 60));
        const size = shelves(clusters, limit);
        const scale = Math.min(1.8 / size.width, 1 / size.height);
        if (best === null || scale > best.scale * 1.05) best = { scale, limit };
    }
    return shelves(clusters, best.limit);
}

function shelves(clusters, limit) {
    let [x, y, rowHeight, width] = [0, 0, 0, 0];
    for (const cluster of clusters) {
        if (x > 0 && x + cluster.width > limit) {
            x = 0;
            y += rowHeight + 44;
            rowHeight = 0;
        }
        cluster.x = x;
        cluster.y = y;
        x += cluster.width + 60;
        rowHeight = Math.max(rowHeight, cluster.height);
        width = Math.max(width, cluster.x + cluster.width);
    }
    return { width, height: y + rowHeight };
}

"""###),
        ConsoleAsset(name: "graph-model.js", type: "text/javascript; charset=utf-8", tag: "552e18317097aefdc09e", text: ###"""
// What the graph shows: components with modules folded or unfolded, and the ways data takes between what is visible.

const targetSources = ["discovery.", "local.file_match", "prometheus.exporter.", "prometheus.operator."];

/** The signal a component most likely passes, for edges nothing has passed yet. */
export function signalOf(name) {
    if (targetSources.some((prefix) => name.startsWith(prefix))) return "targets";
    if (name.startsWith("loki.") || name.startsWith("faro.")) return "logs";
    if (name.startsWith("prometheus.") || name.startsWith("mimir.")) return "metrics";
    if (name.startsWith("pyroscope.")) return "profiles";
    if (name.startsWith("otelcol.")) return "otlp";
    return "targets";
}

/**
 * The visible nodes, groups and edges.
 *
 * `components` and `books` are maps by ID; `folded` says of a component with modules whether they are hidden.
 */
export function buildModel(components, books, folded) {
    const owners = new Map();
    for (const component of components.values()) {
        for (const module of component.modules) owners.set(module, component.id);
    }
    const parentOf = (component) => owners.get(component.module) ?? null;
    const shown = new Map();
    const representative = (id) => {
        if (shown.has(id)) return shown.get(id);
        const component = components.get(id);
        if (!component) return null;
        let result = id;
        for (let parent = parentOf(component), depth = 0; parent && depth < 64; depth += 1) {
            if (folded(parent)) result = parent;
            parent = parentOf(components.get(parent) ?? {});
        }
        shown.set(id, result);
        return result;
    };
    const inside = new Map();
    for (const component of components.values()) {
        for (let parent = parentOf(component), depth = 0; parent && depth < 64; depth += 1) {
            if (!inside.has(parent)) inside.set(parent, []);
            inside.get(parent).push(component.id);
            parent = parentOf(components.get(parent) ?? {});
        }
    }

    const nodes = [];
    const groups = [];
    for (const component of components.values()) {
        if (representative(component.id) !== component.id) continue;
        const parent = parentOf(component);
        const members = inside.get(component.id) ?? [];
        if (members.length > 0 && !folded(component.id)) groups.push({ id: component.id, parent, component, members });
        else nodes.push({ id: component.id, parent, component, members });
    }

    const edges = new Map();
    const add = (from, to, signal, part) => {
        if (!from || !to || from === to) return;
        const key = from + "\n" + to;
        let edge = edges.get(key);
        if (!edge) edges.set(key, edge = { id: key, from, to, signals: new Set(), parts: [] });
        edge.signals.add(signal);
        if (part) edge.parts.push(part);
    };
    for (const [id, statement] of books) {
        if (!components.has(id)) continue;
        for (const entry of statement.edges) {
            if (!components.has(entry.to)) continue;
            add(representative(id), representative(entry.to), entry.signal,
                { from: id, to: entry.to, signal: entry.signal });
        }
    }
    const groupIDs = new Set(groups.map((group) => group.id));
    const linked = new Set([...edges.values()].map((edge) => edge.id));
    const belongs = (id, owner) => id === owner || (inside.get(owner) ?? []).includes(id);
    for (const component of components.values()) {
        for (const target of component.flowsTo) {
            const [from, to] = [representative(component.id), representative(target)];
            if (!from || !to || linked.has(from + "\n" + to)) continue;
            if (!groupIDs.has(from) && !groupIDs.has(to)) {
                add(from, to, signalOf(component.name));
                continue;
            }
            // The end is an unfolded module: the books say which of its components it is, unless nothing passed yet.
            const known = [...edges.values()].some((edge) =>
                edge.parts.length > 0 && belongs(edge.from, from) && belongs(edge.to, to));
            if (known) continue;
            const starts = groupIDs.has(from) ? ends(from, inside, components, "flowsTo") : [from];
            const stops = groupIDs.has(to) ? ends(to, inside, components, "referencedBy") : [to];
            for (const start of starts) {
                for (const stop of stops) {
                    add(representative(start), representative(stop), signalOf(components.get(start).name));
                }
            }
        }
    }
    return { nodes, groups, edges: [...edges.values()] };
}

/** The components inside a module that nothing inside continues. */
function ends(owner, inside, components, direction) {
    const members = inside.get(owner) ?? [];
    const found = members.filter((id) => {
        const component = components.get(id);
        return component.modules.length === 0 && component[direction].length === 0;
    });
    return found.length > 0 ? found : members.slice(0, 1);
}

"""###),
        ConsoleAsset(name: "graph-view.js", type: "text/javascript; charset=utf-8", tag: "94852a05d8845581420c", text: ###"""
// The graph on the screen: SVG that is built once per structure and touched up at every update.

import { s, setAttribute, setText } from "./dom.js";
import { rate, short } from "./format.js";
import { Camera } from "./graph-camera.js";
import { sizes } from "./graph-geometry.js";
import { layout } from "./graph-layout.js";
import { buildModel } from "./graph-model.js";
import { store } from "./store.js";

const signalOrder = ["metrics", "logs", "traces", "profiles", "otlp", "targets"];

function fit(text, characters) {
    return text.length <= characters ? text : text.slice(0, characters - 1) + "\u2026";
}

function curve(points) {
    if (points.length === 0) return "";
    const round = (value) => Math.round(value * 10) / 10;
    let path = `M${round(points[0][0])} ${round(points[0][1])}`;
    for (let index = 1; index < points.length; index += 1) {
        const [[x0, y0], [x1, y1]] = [points[index - 1], points[index]];
        if (Math.abs(y1 - y0) < 0.5) path += `L${round(x1)} ${round(y1)}`;
        else {
            const bend = x1 > x0 ? (x1 - x0) / 2 : Math.min(60, 20 + (x0 - x1) / 4);
            path += `C${round(x0 + bend)} ${round(y0)} ${round(x1 - bend)} ${round(y1)} ${round(x1)} ${round(y1)}`;
        }
    }
    return path;
}

/** How wide an edge is drawn: a step for every tenfold. */
export function edgeWidth(items) {
    return items > 0 ? Math.min(16, 2 + 2.4 * Math.log10(1 + items)) : 1.5;
}

export class GraphView extends EventTarget {
    selected = null;
    folded = new Map();
    query = "";
    #nodes = new Map();
    #groups = new Map();
    #edges = new Map();
    #model = { nodes: [], groups: [], edges: [] };

    constructor() {
        super();
        this.scene = s("g", {});
        this.element = s("svg", {
            class: "graph", tabindex: 0, role: "group", "aria-label": "Pipeline graph. Arrow keys move, + and - zoom.",
        }, this.scene);
        this.camera = new Camera(this.element, this.scene, {
            onEmptyClick: () => this.select(null), onFocus: (id) => this.center(id),
        });
    }

    isFolded(id) {
        return this.folded.get(id) ?? store.components.size > 120;
    }

    toggle(id) {
        this.folded.set(id, !this.isFolded(id));
        this.rebuild();
    }

    foldAll(isFolded) {
        for (const component of store.components.values()) {
            if (component.modules.length > 0) this.folded.set(component.id, isFolded);
        }
        this.rebuild();
        this.fit();
    }

    /** Draws all anew; for changes of structure. */
    rebuild() {
        this.#model = buildModel(store.components, store.books, (id) => this.isFolded(id));
        this.drawn = this.#signature();
        const { nodes, groups, edges } = this.#model;
        const spots = layout(nodes, groups, edges);
        this.camera.size = spots;
        const focused = document.activeElement?.closest?.("[data-id]")?.dataset.id;
        this.#nodes.clear();
        this.#groups.clear();
        this.#edges.clear();
        const back = s("g", {});
        const lines = s("g", {});
        const front = s("g", {});
        for (const group of groups) back.append(this.#drawGroup(group, spots.groups.get(group.id)));
        for (const edge of edges) lines.append(this.#drawEdge(edge, spots.edges.get(edge.id)));
        for (const node of nodes) front.append(this.#drawNode(node, spots.nodes.get(node.id)));
        this.scene.replaceChildren(back, lines, front);
        if (this.selected && !this.#nodes.has(this.selected)) this.selected = null;
        if (focused) this.#nodes.get(focused)?.element.focus({ preventScroll: true });
        this.refresh();
        this.#highlight();
    }

    /** Whether what there is to draw is no longer what is drawn. */
    get isOutdated() { return this.drawn !== this.#signature(); }

    #signature() {
        const parts = [];
        for (const component of store.components.values()) {
            parts.push(component.id, component.flowsTo.join(), component.modules.join());
        }
        for (const [id, books] of store.books) for (const edge of books.edges) parts.push(id, edge.to, edge.signal);
        return parts.join("\n");
    }

    #drawGroup(group, spot) {
        const { x, y, width, height } = spot;
        const title = `${group.component.name} ${group.component.label}`;
        const element = s("g", { class: "module", "data-id": group.id },
            s("rect", { class: "module-frame", x, y, width, height, rx: 14 }),
            s("g", {
                class: "module-title", role: "button", tabindex: 0, "aria-label": `Fold module ${title}`,
                onclick: () => this.toggle(group.id),
                onkeydown: (event) => {
                    if (event.key === "Enter" || event.key === " ") {
                        event.preventDefault();
                        this.toggle(group.id);
                    }
                },
            },
            s("rect", { class: "fold", x: x + 10, y: y + 8, width: 18, height: 18, rx: 5 }),
            s("text", { class: "fold-sign", x: x + 19, y: y + 21.5 }, "\u2212"),
            s("text", { x: x + 36, y: y + 22 }, fit(title, Math.floor((width - 44) / 7.2)))));
        this.#groups.set(group.id, { element, group });
        return element;
    }

    #drawEdge(edge, points) {
        const d = curve(points);
        const signal = signalOrder.find((name) => edge.signals.has(name)) ?? "targets";
        const line = s("path", { class: "edge-line", d });
        const title = s("title", {});
        const element = s("g", { class: `edge signal-${signal}` },
            s("path", { class: "edge-reach", d }), line, title);
        this.#edges.set(edge.id, { element, line, title, edge });
        return element;
    }

    #drawNode(node, spot) {
        const { component } = node;
        const { x, y } = spot;
        const { width, height } = sizes;
        const kind = s("text", { class: "node-kind", x: 16, y: 18 }, fit(component.name, 30));
        const name = component.label || component.name.split(".").pop();
        const label = s("text", { class: "node-label", x: 16, y: 37 }, fit(name, 23));
        const flow = s("text", { class: "node-flow", x: 16, y: 54 });
        const held = s("text", { class: "node-held", x: width - 12, y: 54 });
        const dropText = s("text", { class: "drop-text", x: width - 16, y: height + 6 });
        const dropShape = s("rect", { class: "drop-shape", y: height - 7, height: 18, rx: 9 });
        const drop = s("g", { class: "drop", visibility: "hidden" }, dropShape, dropText);
        const title = s("title", {});
        const element = s("g", {
            class: "node", transform: `translate(${x} ${y})`, tabindex: 0, role: "button", "data-id": node.id,
            onclick: (event) => {
                event.stopPropagation();
                this.select(node.id);
            },
            ondblclick: () => this.#open(node),
            onkeydown: (event) => {
                if (event.key === "Enter" || event.key === " ") {
                    event.preventDefault();
                    if (this.selected === node.id) this.#open(node);
                    else this.select(node.id);
                }
            },
        },
        s("rect", { class: "node-card", width, height, rx: 10 }),
        s("rect", { class: "node-bar", x: 0, y: 10, width: 5, height: height - 20, rx: 2.5 }),
        kind, label, flow, held, drop, title);
        if (node.members.length > 0) {
            element.append(s("g", {
                class: "unfold", onclick: (event) => {
                    event.stopPropagation();
                    this.toggle(node.id);
                },
            },
            s("rect", { class: "fold", x: width - 50, y: 23, width: 40, height: 20, rx: 6 }),
            s("text", { class: "fold-sign", x: width - 30, y: 37 }, `+${node.members.length}`),
            s("title", {}, `Show the ${node.members.length} components inside`)));
        }
        this.#nodes.set(node.id, { element, node, spot, flow, held, drop, dropText, dropShape, title });
        return element;
    }

    #open(node) {
        this.dispatchEvent(new CustomEvent("open", { detail: node.id }));
    }

    /** What a node does: its own books, or those of everything folded into it. */
    flowOf(node) {
        if (node.members.length === 0) return store.flow(node.id);
        const sum = { in: 0, out: 0, dropped: 0, held: 0, drops: [], droppedItems: 0, isKnown: true };
        const inside = new Set(node.members);
        for (const id of node.members) {
            const flow = store.flow(id);
            sum.dropped += flow.dropped;
            sum.held += flow.held;
            sum.droppedItems += flow.droppedItems;
            for (const drop of flow.drops) {
                const known = sum.drops.find((entry) => entry.reason === drop.reason);
                if (known) {
                    known.items += drop.items;
                    known.rate += drop.rate;
                } else sum.drops.push({ ...drop });
            }
            for (const edge of store.books.get(id)?.edges ?? []) {
                if (!inside.has(edge.to)) sum.out += store.edgeRate(id, edge.to, edge.signal);
            }
        }
        for (const edge of this.#model.edges) {
            if (edge.to === node.id) sum.in += this.rateOf(edge);
        }
        sum.drops.sort((a, b) => b.rate - a.rate || b.items - a.items);
        return sum;
    }

    healthOf(node) {
        const order = ["healthy", "unknown", "unhealthy", "exited"];
        let worst = node.component.health;
        for (const id of node.members) {
            const health = store.components.get(id)?.health ?? "unknown";
            if (order.indexOf(health) > order.indexOf(worst)) worst = health;
        }
        return worst;
    }

    rateOf(edge) {
        return edge.parts.reduce((sum, part) => sum + store.edgeRate(part.from, part.to, part.signal), 0);
    }

    /** Brings numbers, widths and colours up to date. */
    refresh() {
        for (const entry of this.#edges.values()) {
            const items = this.rateOf(entry.edge);
            setAttribute(entry.line, "stroke-width", edgeWidth(items).toFixed(1));
            entry.element.classList.toggle("idle", items === 0);
            setText(entry.title, `${entry.edge.from} \u2192 ${entry.edge.to}\n`
                + `${[...entry.edge.signals].join(", ")}: ${entry.edge.parts.length > 0 ? rate(items) : "by reference"}`);
        }
        for (const entry of this.#nodes.values()) this.#refreshNode(entry);
    }

    #refreshNode(entry) {
        const { component } = entry.node;
        const flow = this.flowOf(entry.node);
        const health = this.healthOf(entry.node);
        for (const state of ["healthy", "unhealthy", "exited", "unknown"]) {
            entry.element.classList.toggle(state, state === health);
        }
        const passes = flow.in > 0 || flow.out > 0 || flow.droppedItems > 0 || flow.held > 0;
        let text = "";
        if (passes) text = flow.isKnown ? rate(Math.max(flow.in, flow.out)) : "measuring";
        const isIll = component.health === "unhealthy" || component.health === "exited";
        if (isIll) text = fit(component.message, flow.held > 0 ? 18 : 31);
        setText(entry.flow, text);
        setText(entry.held, flow.held > 0 ? `holds ${short(flow.held)}` : "");
        const top = flow.drops[0];
        setAttribute(entry.drop, "visibility", top ? null : "hidden");
        if (top) {
            const isNow = flow.dropped > 0;
            const amount = isNow ? rate(top.rate) : short(top.items);
            const more = flow.drops.length > 1 ? ` +${flow.drops.length - 1}` : "";
            const label = `\u2212${amount} ${top.reason.replaceAll("_", " ")}${more}`;
            setText(entry.dropText, fit(label, 28));
            const width = Math.min(28, label.length) * 6.1 + 18;
            setAttribute(entry.dropShape, "x", (sizes.width - 8 - width).toFixed(0));
            setAttribute(entry.dropShape, "width", width.toFixed(0));
            setAttribute(entry.drop, "class", `drop ${isNow ? "now" : "past"} ${
                flow.drops.some((drop) => drop.reason !== "rule") ? "loss" : "wanted"}`);
        }
        const lines = [entry.node.id, `${health}: ${component.message}`];
        if (flow.isKnown) lines.push(`in ${rate(flow.in)}, out ${rate(flow.out)}, holds ${short(flow.held)}`);
        for (const drop of flow.drops) {
            lines.push(`dropped, ${drop.reason}: ${rate(drop.rate)}, ${short(drop.items)} in all`);
        }
        setText(entry.title, lines.join("\n"));
        setAttribute(entry.element, "aria-label", lines.join(". "));
    }

    // MARK: Moving

    zoom(factor) { this.camera.zoom(factor); }

    /** Shows everything, but not smaller than `least`. */
    fit(least = 0) { this.camera.fit(least); }

    center(id) {
        const spot = this.#nodes.get(id)?.spot;
        if (spot) this.camera.center({ x: spot.x + sizes.width / 2, y: spot.y + sizes.height / 2 });
    }

    // MARK: Choosing

    /** Chooses a node, or none, and shows the whole way up and down from it. */
    select(id) {
        this.selected = id !== null && this.#nodes.has(id) ? id : null;
        this.#highlight();
        this.dispatchEvent(new CustomEvent("select", { detail: this.selected }));
    }

    nodeOf(id) { return this.#nodes.get(id)?.node ?? null; }

    search(query) {
        this.query = query.trim().toLowerCase();
        this.#highlight();
        return this.#found().length;
    }

    #found() {
        if (this.query === "") return [];
        const words = this.query.split(/\s+/);
        return [...this.#nodes.values()].filter(({ node }) => {
            const text = [node.id, node.component.name, node.component.health, node.component.message, ...node.members]
                .join(" ").toLowerCase();
            return words.every((word) => text.includes(word));
        });
    }

    /** Goes to the next node found. */
    showNext() {
        const found = this.#found();
        if (found.length === 0) return;
        const place = found.findIndex((entry) => entry.node.id === this.selected);
        const next = found[(place + 1) % found.length];
        this.select(next.node.id);
        this.center(next.node.id);
    }

    #path(id) {
        const nodes = new Set([id]);
        const edges = new Set();
        for (const [near, far] of [["from", "to"], ["to", "from"]]) {
            const queue = [id];
            const seen = new Set(queue);
            while (queue.length > 0) {
                const current = queue.pop();
                for (const edge of this.#model.edges) {
                    if (edge[near] !== current) continue;
                    edges.add(edge.id);
                    nodes.add(edge[far]);
                    if (!seen.has(edge[far])) {
                        seen.add(edge[far]);
                        queue.push(edge[far]);
                    }
                }
            }
        }
        return { nodes, edges };
    }

    #highlight() {
        const path = this.selected ? this.#path(this.selected) : null;
        const found = this.query !== "" ? new Set(this.#found().map((entry) => entry.node.id)) : null;
        for (const [id, { element }] of this.#nodes) {
            element.classList.toggle("selected", id === this.selected);
            element.classList.toggle("dim", path ? !path.nodes.has(id) : found ? !found.has(id) : false);
            element.classList.toggle("found", found?.has(id) ?? false);
        }
        for (const [id, { element }] of this.#edges) {
            element.classList.toggle("dim", path ? !path.edges.has(id) : found !== null);
            element.classList.toggle("lit", path?.edges.has(id) ?? false);
        }
    }
}

"""###),
        ConsoleAsset(name: "health-history.js", type: "text/javascript; charset=utf-8", tag: "5a17216b0f22fff29a86", text: ###"""
// How the health of a component has changed.

import { componentPath, h } from "./dom.js";
import { absolute } from "./format.js";
import { getJSON } from "./store.js";

/** A section; `load()` brings it up to date. */
export function healthHistory(id) {
    const area = h("div", {}, h("p", { class: "waiting" }, "Loading"));
    const element = h("section", { "data-part": "health" }, h("h2", {}, "Health so far"), area);
    let drawn = "";
    const load = async () => {
        let changes;
        try {
            changes = await getJSON("api/v0/console/" + componentPath(id).replace("component/", "health/"));
        } catch (error) {
            if (drawn === "") area.replaceChildren(h("p", { class: "empty" }, `It cannot be read: ${error.message}`));
            return;
        }
        const text = JSON.stringify(changes);
        if (text === drawn) return;
        drawn = text;
        area.replaceChildren(changes.length === 0 ? h("p", { class: "empty" }, "Nothing was said of its health yet.")
            : h("div", { class: "scroll" }, h("table", { class: "rows health-history" },
                h("thead", {}, h("tr", {}, ["When", "State", "What it says"].map((title) => h("th", { scope: "col" }, title)))),
                h("tbody", {}, changes.map((change) => h("tr", {},
                    h("td", {}, h("moment-text", { at: change.time }), h("span", { class: "kind" }, ` ${absolute(change.time)}`)),
                    h("td", {}, h("span", { class: `badge ${change.state}` }, change.state)),
                    h("td", { class: "wrap" }, change.message)))))));
    };
    return { element, load };
}

"""###),
        ConsoleAsset(name: "icon.svg", type: "image/svg+xml", tag: "ed6b3720da8d7f4021d0", text: ###"""
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
    <rect width="32" height="32" rx="8" fill="#3b5bdb"/>
    <path d="M5 10h7c6 0 3 12 9 12h6M5 22h6" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"/>
    <circle cx="26" cy="10" r="2.6" fill="#ffb3b3"/>
</svg>

"""###),
        ConsoleAsset(name: "index.html", type: "text/html; charset=utf-8", tag: "571baf0f1ad897d06437", text: ###"""
<!doctype html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <base href="/">
    <title>Invar</title>
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <link rel="icon" href="assets/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="assets/console.css">
    <script type="module" src="assets/main.js"></script>
</head>
<body>
    <a class="skip" href="#content">Skip to the content</a>
    <header id="bar"></header>
    <main id="content" tabindex="-1">
        <noscript><p class="note">The console needs JavaScript. The same facts are JSON under
            <code>api/v0/web/components</code> and <code>api/v0/web/ledger</code>, and metrics under
            <code>/metrics</code>.</p></noscript>
    </main>
</body>
</html>

"""###),
        ConsoleAsset(name: "ledger.js", type: "text/javascript; charset=utf-8", tag: "bdbf3797c3b60872e477", text: ###"""
// The books of a component as a sentence of numbers.

import { h } from "./dom.js";
import { full, short } from "./format.js";
import { store } from "./store.js";

function term(name, value, title, kind = "") {
    return h("span", { class: `term ${kind}`, title: `${full(value)} ${title}` }, h("b", {}, short(value)), " ", name);
}

function sum(entries) {
    return entries.reduce((total, entry) => total + entry.items, 0);
}

/** `in + held before + created = delivered + merged + dropped + held`, since the start. */
export function ledgerLine(books) {
    if (!books) return h("p", { class: "ledger empty" }, "Nothing is booked for this component yet.");
    const left = [term("in", books.in, "items taken in or originated"), " + ",
        term("held before", books.restored ?? 0, "items found in queues on disk at the start")];
    if (books.created > 0) left.push(" + ", term("created", books.created, "items made from others"));
    const right = [term("delivered", books.out, "items passed on or confirmed")];
    if (books.merged > 0) right.push(" + ", term("merged", books.merged, "items that went into others"));
    right.push(" + ", term("dropped", sum(books.dropped), "items whose life ended here", sum(books.dropped) > 0 ? "bad" : ""));
    right.push(" + ", term("held", sum(books.held), "items waiting in buffers"));
    if (books.unaccounted !== 0) {
        right.push(" + ", term("on their way", books.unaccounted, "items between two entries of the books"));
    }
    return h("p", { class: "ledger", "data-balance": books.unaccounted }, left, " = ", right);
}

/** The same over the time rates are taken over: `in + held before = delivered + dropped + held`. */
export function windowLine(id) {
    const pair = store.between(id);
    if (!pair) return h("p", { class: "ledger empty" }, "Measuring.");
    const [first, last, seconds] = pair;
    const left = [term("in", last.in - first.in, "items"), " + ", term("held before", first.held, "items")];
    if (last.created > first.created) left.push(" + ", term("created", last.created - first.created, "items"));
    const right = [term("delivered", last.out - first.out, "items")];
    if (last.merged > first.merged) right.push(" + ", term("merged", last.merged - first.merged, "items"));
    const dropped = last.droppedItems - first.droppedItems;
    right.push(" + ", term("dropped", dropped, "items", dropped > 0 ? "bad" : ""), " + ", term("held", last.held, "items"));
    return h("p", { class: "ledger" }, left, " = ", right,
        h("span", { class: "kind" }, ` in the last ${Math.round(seconds)} s`));
}

"""###),
        ConsoleAsset(name: "main.js", type: "text/javascript; charset=utf-8", tag: "6dadf60b954ce7de3ec1", text: ###"""
// The frame of every view: the bar on top, the way from paths to views, light and dark.

import { h, link, note, setText } from "./dom.js";
import { bytes, rate } from "./format.js";
import { store } from "./store.js";
import { pipelineView } from "./page-pipeline.js";
import { componentView } from "./page-component.js";
import { componentsView } from "./page-components.js";
import { targetsView } from "./page-targets.js";
import { liveView } from "./page-live.js";
import { clusterView } from "./page-cluster.js";
import { exploreView } from "./page-explore.js";
import { explainView } from "./page-explain.js";
import { configurationView, flagsView, runtimeView, supportView } from "./page-system.js";

const views = [
    { path: "", title: "Pipeline", show: pipelineView, also: ["graph"] },
    { path: "components", title: "Components", show: componentsView, also: ["component", "remotecfg"] },
    { path: "targets", title: "Targets", show: targetsView },
    { path: "live", title: "Live data", show: liveView },
    { path: "explore", title: "Explore", show: exploreView },
    { path: "explain", title: "Explain", show: explainView },
    { path: "configuration", title: "Configuration", show: configurationView },
    { path: "runtime", title: "Runtime", show: runtimeView },
    { path: "clustering", title: "Cluster", show: clusterView },
    { path: "flags", title: "Flags", show: flagsView },
    { path: "support", title: "Support", show: supportView },
];

const root = new URL(document.baseURI).pathname;
const content = document.getElementById("content");
let leave = null;

function currentPath() {
    const path = location.pathname.startsWith(root) ? location.pathname.slice(root.length) : "";
    return path.replace(/\/+$/, "");
}

function decoded(segments) {
    try {
        return segments.map(decodeURIComponent).join("/");
    } catch {
        return segments.join("/");
    }
}

/** Shows the view the address names. */
function show() {
    leave?.();
    leave = null;
    const [first, ...rest] = currentPath().split("/");
    const view = views.find((one) => one.path === first || one.also?.includes(first));
    for (const entry of document.querySelectorAll("#bar nav a")) {
        const isCurrent = entry.dataset.path === view?.path;
        if (isCurrent) {
            entry.setAttribute("aria-current", "page");
            entry.scrollIntoView({ block: "nearest", inline: "nearest" });
        } else entry.removeAttribute("aria-current");
    }
    content.replaceChildren();
    content.className = "view-" + (view?.path || "pipeline");
    let title = view?.title ?? "Not found";
    if (first === "component" && rest.length > 0) {
        const id = decoded(rest);
        title = id;
        content.className = "view-component";
        leave = componentView(content, id);
    } else if (view) {
        leave = view.show(content, { rest, go, query: new URLSearchParams(location.search) });
    } else {
        content.append(note("There is no such page", "The address names no view of the console. Start from the ",
            link("", {}, "pipeline"), "."));
    }
    document.title = `${title} \u00b7 Invar`;
}

/** Goes to a view without loading the page anew. */
function go(path, { replace = false } = {}) {
    const target = new URL(path === "" ? "./" : path, document.baseURI);
    if (replace) history.replaceState(null, "", target);
    else history.pushState(null, "", target);
    if (!replace) {
        show();
        content.focus({ preventScroll: true });
        scrollTo(0, 0);
    }
}

document.addEventListener("click", (event) => {
    const anchor = event.target.closest?.("a[data-view]");
    if (!anchor || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(anchor.getAttribute("href") === "./" ? "" : anchor.getAttribute("href"));
});
addEventListener("popstate", show);

// MARK: The bar

function themeButton() {
    const button = h("button", { class: "quiet", type: "button" });
    const choices = ["auto", "light", "dark"];
    const names = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
    const signs = { auto: "\u25d0", light: "\u2600", dark: "\u263e" };
    const apply = (choice) => {
        if (choice === "auto") delete document.documentElement.dataset.theme;
        else document.documentElement.dataset.theme = choice;
        setText(button, signs[choice]);
        button.title = names[choice];
        button.setAttribute("aria-label", names[choice]);
        button.dataset.choice = choice;
    };
    let saved = null;
    try { saved = localStorage.getItem("invar-theme"); } catch { /* Without storage the choice lasts as long as the page. */ }
    apply(choices.includes(saved) ? saved : "auto");
    button.addEventListener("click", () => {
        const next = choices[(choices.indexOf(button.dataset.choice) + 1) % choices.length];
        apply(next);
        try { localStorage.setItem("invar-theme", next); } catch { /* As above. */ }
    });
    return button;
}

function bar() {
    const state = h("span", { class: "state", role: "status" });
    const ill = link("components?health=ill", { class: "badge bad", hidden: true });
    const delivered = h("b");
    const dropped = h("b");
    const memory = h("b");
    document.getElementById("bar").append(
        link("", { class: "brand", "aria-label": "Invar, pipeline" },
            h("img", { src: "assets/icon.svg", alt: "", width: 24, height: 24 }), "Invar"),
        h("nav", { "aria-label": "Views" }, views.map((view) =>
            link(view.path, { "data-path": view.path }, view.title))),
        h("div", { class: "totals" }, ill,
            h("span", { title: "Items entering the pipeline per second" }, "in ", delivered),
            h("span", { title: "Items dropped per second, for whatever reason" }, "dropped ", dropped),
            h("span", { title: "Memory of all buffers" }, "buffers ", memory), state, themeButton()));
    const refresh = () => {
        let entering = 0;
        let losing = 0;
        const fed = new Set();
        for (const books of store.books.values()) for (const edge of books.edges) fed.add(edge.to);
        for (const id of store.components.keys()) {
            const flow = store.flow(id);
            losing += flow.dropped;
            if (!fed.has(id)) entering += flow.in;
        }
        const sick = [...store.components.values()]
            .filter((component) => component.health === "unhealthy" || component.health === "exited").length;
        ill.hidden = sick === 0;
        setText(ill, `${sick} unhealthy`);
        setText(delivered, rate(entering));
        setText(dropped, rate(losing));
        setText(memory, bytes(store.memory.used));
        const words = { connecting: "connecting", live: "live", lost: "no answer, trying again" };
        setText(state, words[store.state]);
        state.dataset.state = store.state;
    };
    store.addEventListener("books", refresh);
    store.addEventListener("state", refresh);
    refresh();
}

bar();
store.start();
show();

"""###),
        ConsoleAsset(name: "page-cluster.js", type: "text/javascript; charset=utf-8", tag: "552b6315c9c035cdf185", text: ###"""
// Who shares the work: as long as there is no clustering, this process alone.

import { h, note } from "./dom.js";
import { getJSON } from "./store.js";

export function clusterView(content) {
    const area = h("div", {}, h("p", { class: "waiting" }, "Loading"));
    content.append(h("h1", {}, "Cluster"), area);
    let isGone = false;
    const show = (...parts) => { if (!isGone) area.replaceChildren(...parts); };
    getJSON("api/v0/web/peers").then((peers) => show(
        h("p", {}, "This process works alone. Clustering is not available yet: ", h("code", {}, "clustering { enabled = true }"),
            " in a component changes nothing, and every target is scraped here. Run one process for each set of targets, or "
            + "divide them with ", h("code", {}, "hashmod"), " rules."),
        peers.length === 0 ? note("No peers", "The program names none, not even itself.") : table(peers)),
    (error) => show(note("The peers cannot be read", error.message)));
    return () => { isGone = true; };
}

function table(peers) {
    return h("div", { class: "scroll" }, h("table", { class: "rows" },
        h("thead", {}, h("tr", {}, ["Name", "Address", "State"].map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, peers.map((peer) => h("tr", {},
            h("td", { class: "wrap" }, peer.name, peer.isSelf && h("span", { class: "kind" }, " this process")),
            h("td", { class: "wrap" }, h("code", {}, peer.addr)),
            h("td", {}, h("span", { class: `badge ${peer.state === "participant" ? "healthy" : ""}` }, peer.state)))))));
}

"""###),
        ConsoleAsset(name: "page-component.js", type: "text/javascript; charset=utf-8", tag: "24f9c7723b5ac04c83ab", text: ###"""
// One component: what it was given, what it gives, how it is, what went through it.

import { componentPath, h, link, note, setText } from "./dom.js";
import { bytes, full, rate, short, span } from "./format.js";
import { healthHistory } from "./health-history.js";
import { ledgerLine, windowLine } from "./ledger.js";
import { Plot } from "./plot.js";
import { getJSON, store } from "./store.js";
import { bodyElement } from "./value.js";

const detailPath = (id) => "api/v0/web/" + componentPath(id).replace("component/", "components/");
const metricsPath = (id) => "api/v0/console/" + componentPath(id).replace("component/", "metrics/");

export function componentView(content, id) {
    let isGone = false;
    const timers = new Set();
    const listeners = [];
    const listen = (name, action) => {
        store.addEventListener(name, action);
        listeners.push([name, action]);
    };
    content.append(h("p", { class: "waiting" }, "Loading"));
    getJSON(detailPath(id)).then((detail) => {
        if (isGone) return;
        content.replaceChildren();
        fill(content, id, detail, listen);
        const health = healthHistory(id);
        const plots = selfMetrics(id);
        content.append(health.element, plots.element);
        health.load();
        const poll = async () => {
            if (!document.hidden) await plots.load();
            if (!isGone) timers.add(setTimeout(poll, 3000));
        };
        poll();
        const again = async () => {
            if (!document.hidden) {
                try { content.refresh?.(await getJSON(detailPath(id))); } catch { /* The bar says that nobody answers. */ }
                await health.load();
            }
            if (!isGone) timers.add(setTimeout(again, 5000));
        };
        timers.add(setTimeout(again, 5000));
    }, (error) => {
        content.replaceChildren(note(`${id} cannot be shown`, error.message === "component not found"
            ? "There is no such component now. A reload may have removed it, or the address has a slip. " : error.message + " ",
        link("components", {}, "All components")));
    });
    return () => {
        isGone = true;
        for (const timer of timers) clearTimeout(timer);
        for (const [name, action] of listeners) store.removeEventListener(name, action);
        content.refresh = undefined;
    };
}

function fill(content, id, detail, listen) {
    const health = h("span", { class: `badge ${detail.health.state}` });
    const message = h("span", { class: "message" });
    const since = h("moment-text", { at: Date.parse(detail.health.updatedTime) });
    const started = detail.startTime ? Date.parse(detail.startTime) : 0;
    const trail = detail.moduleID === "" ? [] : detail.moduleID.split("/");
    content.append(
        h("nav", { class: "trail", "aria-label": "Modules" }, link("components", {}, "Components"),
            trail.map((part, index) => [" / ", link(componentPath(trail.slice(0, index + 1).join("/")), {}, part)])),
        h("header", { class: "title" },
            h("div", {}, h("p", { class: "kind" }, detail.name), h("h1", {}, detail.label || detail.localID)),
            h("p", { class: "actions" },
                detail.liveDebuggingEnabled
                    && link(`live?component=${encodeURIComponent(id)}`, { class: "button" }, "Live data"))),
        h("p", { class: "health-line" }, health, message, since,
            started > 0 && h("span", { class: "kind" }, "started ", h("moment-text", { at: started }))));

    const whole = h("div");
    const recent = h("div");
    const reasons = h("div");
    const flow = new Plot("items per second: in / out", (value) => rate(value));
    const drops = new Plot("dropped per second", (value) => rate(value));
    const held = new Plot("held", (value) => short(value));
    const isPassing = () => store.books.has(id);
    const plots = h("div", { class: "plots" }, flow.element, drops.element, held.element);
    const books = h("section", {}, h("h2", {}, "Books"), whole, recent, reasons, plots);
    content.append(books);

    const body = { arguments: h("div"), exports: h("div"), debugInfo: h("div") };
    const titles = { arguments: "Arguments as evaluated", exports: "Exports", debugInfo: "Debug info" };
    const nothing = {
        arguments: "The component takes no arguments, or was not evaluated yet.",
        exports: "The component exports nothing, or nothing yet.",
        debugInfo: "The component shows nothing of its inside.",
    };
    const drawn = {};
    content.refresh = (next) => {
        setText(health, next.health.state);
        health.className = `badge ${next.health.state}`;
        setText(message, next.health.message);
        since.setAttribute("at", Date.parse(next.health.updatedTime));
        for (const [name, element] of Object.entries(body)) {
            const text = JSON.stringify(next[name] ?? []);
            if (drawn[name] === text) continue;
            drawn[name] = text;
            const open = new Set([...element.querySelectorAll("details[open]")].map((one) => one.dataset.key));
            const isFirst = element.children.length === 0;
            element.replaceChildren((next[name] ?? []).length > 0
                ? bodyElement(next[name]) : h("p", { class: "empty" }, nothing[name]));
            [...element.querySelectorAll("details")].forEach((one, index) => {
                one.dataset.key = String(index);
                if (!isFirst) one.open = open.has(String(index));
            });
        }
    };
    content.refresh(detail);
    const relations = h("section", { class: "columns" });
    const relate = () => relations.replaceChildren(...references(detail));
    listen("structure", relate);
    relate();
    content.append(
        relations,
        ...Object.entries(body).map(([name, element]) =>
            h("section", { "data-part": name }, h("h2", {}, titles[name]), element)));

    const update = () => {
        books.hidden = !isPassing();
        if (!isPassing()) return;
        const statement = store.books.get(id);
        const isIdle = statement.in === 0 && statement.out === 0 && statement.edges.length === 0
            && statement.held.length === 0 && statement.dropped.length === 0;
        recent.hidden = reasons.hidden = plots.hidden = isIdle;
        if (isIdle) {
            whole.replaceChildren(h("p", { class: "empty" }, "No items passed this component."));
            return;
        }
        whole.replaceChildren(ledgerLine(statement));
        recent.replaceChildren(windowLine(id));
        reasons.replaceChildren(reasonTable(statement));
        const moments = store.history.get(id) ?? [];
        flow.update([
            { name: "in", kind: "main", points: rates(moments, (one) => one.in) },
            { name: "out", kind: "second", points: rates(moments, (one) => one.out) },
        ]);
        drops.update([{ name: "dropped", kind: "bad", points: rates(moments, (one) => one.droppedItems) }]);
        held.update([{ name: "held", kind: "main", points: moments.map((one) => [one.time, one.held]) }]);
    };
    listen("books", update);
    update();
}

/** Per second between moments at least two seconds apart, so that bursts do not hide the course. */
function rates(moments, value) {
    const points = [];
    for (let index = 0, before = 0; index < moments.length; index += 1) {
        while (before + 1 < index && moments[index].time - moments[before + 1].time >= 5000) before += 1;
        const seconds = (moments[index].time - moments[before].time) / 1000;
        if (seconds >= 0.9) points.push([moments[index].time, (value(moments[index]) - value(moments[before])) / seconds]);
    }
    return points;
}

function reasonTable(books) {
    const rows = [];
    for (const entry of books.dropped) {
        rows.push(["dropped", entry.reason.replaceAll("_", " ") + (entry.rule ? `: ${entry.rule}` : ""), entry.items, "items"]);
    }
    for (const entry of books.held) rows.push(["held", entry.buffer, entry.items, "items"]);
    for (const entry of books.refused) rows.push(["refused", entry.reason.replaceAll("_", " "), entry.items, "items, the sender keeps them"]);
    for (const edge of books.edges) {
        rows.push(["passed on", link(componentPath(edge.to), {}, edge.to), edge.accepted,
            `${edge.signal === "otlp" ? "OTLP items" : edge.signal} in ${full(edge.batches)} batches`]);
        for (const entry of edge.refused) {
            rows.push(["not taken", [edge.to, `: ${entry.reason.replaceAll("_", " ")}`], entry.items, "items at an attempt"]);
        }
        for (const entry of edge.dropped ?? []) {
            rows.push(["dropped", [edge.to, `: ${entry.reason.replaceAll("_", " ")}`], entry.items, "items for this receiver"]);
        }
    }
    if (rows.length === 0) return h("p", { class: "empty" }, "Nothing passed yet.");
    return h("table", { class: "rows" },
        h("thead", {}, h("tr", {}, h("th", {}, "What"), h("th", {}, "Where or why"), h("th", { class: "number" }, "Count"), h("th", {}, ""))),
        h("tbody", {}, rows.map(([what, where, count, unit]) =>
            h("tr", { class: what === "dropped" && count > 0 ? "bad" : "" }, h("td", {}, what), h("td", { class: "wrap" }, where),
                h("td", { class: "number" }, full(count)), h("td", { class: "kind" }, unit)))));
}

function references(detail) {
    const full = (id) => detail.moduleID === "" ? id : `${detail.moduleID}/${id}`;
    const list = (title, ids) => h("div", {}, h("h3", {}, title), ids.length === 0
        ? h("p", { class: "empty" }, "none")
        : h("ul", { class: "references" }, ids.map((id) => {
            const state = store.components.get(full(id))?.health ?? "unknown";
            return h("li", {}, h("i", { class: `swatch ${state}`, title: state }), link(componentPath(full(id)), {}, id));
        })));
    const inner = [...store.components.values()].filter((one) => (detail.createdModuleIDs ?? []).includes(one.module));
    return [
        list("Refers to", detail.referencesTo), list("Referred to by", detail.referencedBy),
        list("Data goes to", detail.dataFlowEdgesTo),
        inner.length > 0 && h("div", {}, h("h3", {}, "Inside"), h("ul", { class: "references" }, inner.map((one) =>
            h("li", {}, h("i", { class: `swatch ${one.health}` }), link(componentPath(one.id), {}, one.id))))),
    ].filter((part) => part instanceof Node);
}

/** Everything the component counts about itself, as plots that grow while one looks. */
function selfMetrics(id) {
    const area = h("div", { class: "plots" });
    const element = h("section", { "data-part": "metrics" }, h("h2", {}, "Self-metrics"), area);
    const plots = new Map();
    const most = 60;
    const load = async () => {
        let answer;
        try { answer = await getJSON(metricsPath(id)); } catch { return; }
        if (answer.families.length === 0) {
            area.replaceChildren(h("p", { class: "empty" }, "The component keeps no metrics of its own."));
            return;
        }
        if (plots.size === 0) area.replaceChildren();
        for (const family of answer.families) {
            for (const sample of family.samples) {
                if (sample.suffix === "_bucket" || (family.kind === "summary" && sample.suffix === "")) continue;
                const labels = Object.entries(sample.labels).map(([name, value]) => `${name}=${value}`).join(" ");
                const key = family.name + sample.suffix + "\n" + labels;
                let plot = plots.get(key);
                if (!plot) {
                    if (plots.size >= most) continue;
                    const isCounter = family.kind === "counter" || sample.suffix !== "" || /_total$/.test(family.name);
                    plot = new Plot(
                        h("span", {}, family.name + sample.suffix, labels && h("span", { class: "kind" }, ` ${labels}`)),
                        formatter(family.name + sample.suffix, isCounter), { help: family.help });
                    Object.assign(plot, { isCounter, points: [], last: null });
                    plots.set(key, plot);
                    area.append(plot.element);
                }
                const value = sample.value ?? NaN;
                if (!plot.isCounter) plot.points.push([answer.time, value]);
                else if (plot.last) {
                    const seconds = (answer.time - plot.last[0]) / 1000;
                    if (seconds > 0) plot.points.push([answer.time, Math.max(0, value - plot.last[1]) / seconds]);
                }
                plot.last = [answer.time, value];
                if (plot.points.length > 200) plot.points.shift();
                plot.update([{ name: family.name, kind: "main", points: plot.points }]);
            }
        }
    };
    return { element, load };
}

function formatter(name, isCounter) {
    if (isCounter) return /_bytes/.test(name) ? (value) => bytes(value) + "/s" : (value) => rate(value);
    if (/timestamp_seconds$/.test(name)) return (value) => (value > 0 ? new Date(value * 1000).toISOString().slice(11, 19) : "never");
    if (/_bytes/.test(name)) return bytes;
    if (/_seconds/.test(name)) return span;
    return short;
}

"""###),
        ConsoleAsset(name: "page-components.js", type: "text/javascript; charset=utf-8", tag: "4ccc932e8a170a446acd", text: ###"""
// All components in one table, busiest or sickest first: what `top` is to processes.

import { componentPath, h, link, note, setText } from "./dom.js";
import { rate, short } from "./format.js";
import { store } from "./store.js";

const columns = [
    { key: "id", title: "Component" },
    { key: "health", title: "Health" },
    { key: "in", title: "In", isNumber: true },
    { key: "out", title: "Out", isNumber: true },
    { key: "dropped", title: "Dropped", isNumber: true },
    { key: "held", title: "Held", isNumber: true },
];
const badness = { exited: 3, unhealthy: 2, unknown: 1, healthy: 0 };

export function componentsView(content, { query }) {
    let sorting = { key: "id", isDown: false };
    let words = "";
    const onlyIll = h("input", { type: "checkbox", checked: query.get("health") === "ill", onchange: () => update() });
    const search = h("input", {
        type: "search", placeholder: "Filter by name, health or message", "aria-label": "Filter",
        oninput: () => {
            words = search.value.trim().toLowerCase();
            update();
        },
    });
    const heads = columns.map((column) => h("th", { class: column.isNumber ? "number" : "", scope: "col" },
        h("button", {
            type: "button", class: "sort", onclick: () => {
                sorting = { key: column.key, isDown: sorting.key === column.key ? !sorting.isDown : column.key !== "id" };
                update();
            },
        }, column.title)));
    const body = h("tbody");
    const count = h("span", { class: "found-count", role: "status" });
    const empty = h("div");
    content.append(h("h1", {}, "Components"),
        h("div", { class: "tools" }, search, h("label", {}, onlyIll, " only unhealthy"), count),
        h("div", { class: "scroll" }, h("table", { class: "rows components" }, h("thead", {}, h("tr", {}, heads)), body)), empty);
    const rows = new Map();

    function row(component) {
        const cells = {
            health: h("span", {}), message: h("span", { class: "kind" }),
        };
        for (const { key, title, isNumber } of columns) {
            if (isNumber) cells[key] = h("td", { class: "number", "data-title": title.toLowerCase() });
        }
        const element = h("tr", {},
            h("td", { class: "wrap" }, link(componentPath(component.id), {}, component.id)),
            h("td", { class: "wrap" }, cells.health, " ", cells.message),
            cells.in, cells.out, cells.dropped, cells.held);
        return { element, cells };
    }

    function update() {
        const found = [];
        for (const component of store.components.values()) {
            if (onlyIll.checked && badness[component.health] < 2) continue;
            const text = `${component.id} ${component.health} ${component.message}`.toLowerCase();
            if (words !== "" && !words.split(/\s+/).every((word) => text.includes(word))) continue;
            found.push({ component, flow: store.flow(component.id) });
        }
        const value = ({ component, flow }) => sorting.key === "id" ? component.id
            : sorting.key === "health" ? badness[component.health] : flow[sorting.key];
        found.sort((a, b) => {
            const [x, y] = [value(a), value(b)];
            const result = x < y ? -1 : x > y ? 1 : a.component.id < b.component.id ? -1 : 1;
            return sorting.isDown ? -result : result;
        });
        heads.forEach((head, index) => head.setAttribute("aria-sort", columns[index].key !== sorting.key
            ? "none" : sorting.isDown ? "descending" : "ascending"));
        for (const id of rows.keys()) {
            if (!store.components.has(id)) rows.delete(id);
        }
        const elements = found.map(({ component, flow }) => {
            if (!rows.has(component.id)) rows.set(component.id, row(component));
            const { element, cells } = rows.get(component.id);
            cells.health.className = `badge ${component.health}`;
            setText(cells.health, component.health);
            setText(cells.message, component.message);
            setText(cells.in, rate(flow.in));
            setText(cells.out, rate(flow.out));
            setText(cells.dropped, flow.dropped > 0 ? rate(flow.dropped) : flow.droppedItems > 0 ? `${short(flow.droppedItems)} in all` : "\u2013");
            cells.dropped.title = flow.drops.map((drop) => `${drop.reason}: ${short(drop.items)}`).join(", ");
            cells.dropped.classList.toggle("bad", flow.drops.some((drop) => drop.reason !== "rule" && drop.rate > 0));
            setText(cells.held, flow.held > 0 ? short(flow.held) : "\u2013");
            return element;
        });
        const isSame = elements.length === body.children.length && elements.every((one, index) => body.children[index] === one);
        if (!isSame) body.replaceChildren(...elements);
        setText(count, store.version === 0 ? "" : `${found.length} of ${store.components.size}`);
        empty.replaceChildren();
        if (store.version > 0 && found.length === 0) {
            empty.append(store.components.size === 0
                ? note("No components run", "The configuration has no component, or is not applied. ",
                    link("configuration", {}, "See what was loaded"), ".")
                : note("None fits", onlyIll.checked ? "No component is unhealthy: good. " : "", "Change the filter to see others."));
        }
    }
    store.addEventListener("books", update);
    store.addEventListener("structure", update);
    update();
    return () => {
        store.removeEventListener("books", update);
        store.removeEventListener("structure", update);
    };
}

"""###),
        ConsoleAsset(name: "page-explain.js", type: "text/javascript; charset=utf-8", tag: "d41a6b8b44b0e7561637", text: ###"""
// What an item meets: every component and rule in order, and what became of it.

import { componentPath, h, link, note, setText } from "./dom.js";
import { store } from "./store.js";

const kinds = [
    { kind: "labels", title: "Target: its labels", sample: "{__address__=\"10.0.0.1:80\", job=\"app\"}", line: true },
    { kind: "log", title: "Log line", sample: "level=info msg=\"hello\"", labels: true },
    { kind: "metric", title: "Metric", sample: "http_requests_total{code=\"200\"}" },
    { kind: "pod", title: "Pod", sample: "namespace/name, or the pod as JSON or YAML", line: true },
    { kind: "file", title: "File", sample: "/var/log/app.log", line: true },
    { kind: "trace", title: "Trace", sample: "32 hexadecimal digits" },
    { kind: "otlp", title: "OTLP: spans, log records, metrics", sample: "{\"resourceSpans\": [...]}, OTLP/JSON" },
];
const verdicts = {
    delivered: ["healthy", "Delivered"], dropped: ["unhealthy", "Dropped"], held: ["unknown", "Held"],
    passed: ["", "Passed on"], unknown: ["unknown", "Not known"],
};
const outcomes = { kept: "healthy", changed: "changed", dropped: "unhealthy", unknown: "unknown", unchanged: "" };
/** Longer questions stay out of the address. */
const longestAddress = 4000;

export function explainView(content, { go, query }) {
    let controller = null;
    const kind = h("select", { id: "explain-kind", onchange: () => adapt() },
        kinds.map((one) => h("option", { value: one.kind, selected: query.get("item") === one.kind }, one.title)));
    const value = h("textarea", {
        id: "explain-value", rows: 3, spellcheck: "false", autocapitalize: "off", autocomplete: "off",
        onkeydown: (event) => {
            if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
            event.preventDefault();
            form.requestSubmit();
        },
    });
    const labels = h("input", { id: "explain-labels", type: "text", placeholder: "{job=\"app\"}", spellcheck: "false" });
    const line = h("input", { id: "explain-line", type: "text", placeholder: "only needed where lines are processed", spellcheck: "false" });
    const at = h("select", { id: "explain-at" });
    const labelsField = field("Labels of the stream", labels);
    const lineField = field("Log line it brings", line);
    const send = h("button", { type: "submit", class: "button" }, "Explain");
    const status = h("p", { class: "summary", role: "status" });
    const answer = h("div", { class: "explained" });
    const form = h("form", {
        class: "explain", onsubmit: (event) => {
            event.preventDefault();
            ask();
        },
    }, h("div", { class: "explain-fields" }, field("Item", kind), field("Given to", at)), field("Value", value), labelsField,
    lineField, h("div", { class: "tools" }, send, h("span", { class: "kind" }, "Nothing is sent or counted.")));
    value.value = query.get("value") ?? "";
    labels.value = query.get("labels") ?? "";
    line.value = query.get("line") ?? "";
    content.append(h("h1", {}, "Explain"),
        h("p", { class: "summary" }, "Which components and rules an item meets, in order, and what becomes of it."),
        form, status, answer);

    function field(title, input) {
        return h("p", { class: "field" }, h("label", { for: input.id }, title), input);
    }

    function chosen() {
        return kinds.find((one) => one.kind === kind.value) ?? kinds[0];
    }

    function adapt() {
        const one = chosen();
        value.placeholder = one.sample;
        labelsField.hidden = !one.labels;
        lineField.hidden = !one.line;
    }

    function offer() {
        const wanted = at.options.length > 0 ? at.value : query.get("at") ?? "";
        const ids = [...store.components.values()].filter((one) => one.builtin).map((one) => one.id).sort();
        if (wanted !== "" && !ids.includes(wanted)) ids.unshift(wanted);
        at.replaceChildren(h("option", { value: "" }, "wherever it can enter"),
            ...ids.map((id) => h("option", { value: id, selected: id === wanted }, id)));
    }

    async function ask() {
        const one = chosen();
        if (value.value.trim() === "") {
            answer.replaceChildren(note("Nothing is given", "Paste ", one.title.toLowerCase(), " into the field Value, such as ",
                h("code", {}, one.sample), "."));
            setText(status, "");
            value.focus();
            return;
        }
        const question = { item: one.kind, value: one.kind === "log" ? value.value : value.value.trim() };
        if (one.labels && labels.value.trim() !== "") question.labels = labels.value.trim();
        if (one.line && line.value !== "") question.line = line.value;
        if (at.value !== "") question.at = at.value;
        const address = "explain?" + new URLSearchParams(question);
        go(address.length <= longestAddress ? address : "explain", { replace: true });
        controller?.abort();
        controller = new AbortController();
        setText(status, "Asking");
        send.disabled = true;
        try {
            const response = await fetch("api/v0/console/explain", {
                method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(question),
                signal: controller.signal,
            });
            if (!response.ok) {
                const reason = (await response.text()).trim();
                setText(status, "");
                answer.replaceChildren(note("The question cannot be answered", reason || `The server says ${response.status}.`));
                return;
            }
            draw(await response.json());
        } catch (error) {
            if (error.name === "AbortError") return;
            setText(status, "");
            answer.replaceChildren(note("No answer", `${error.message}. Is the program running? Ask again when it does.`));
        } finally {
            send.disabled = false;
        }
    }

    function draw(report) {
        const [look, word] = verdicts[report.verdict] ?? verdicts.unknown;
        status.replaceChildren(h("span", { class: `badge ${look}` }, word), " ", ends(report),
            ...report.notes.map((text) => h("span", { class: "explain-note" }, text)));
        answer.replaceChildren(h("ol", { class: "stops" }, report.stops.map(stop)));
    }

    adapt();
    offer();
    store.addEventListener("structure", offer);
    if (query.get("value")) ask();
    return () => {
        controller?.abort();
        store.removeEventListener("structure", offer);
    };
}

/** Where the item ends, in a few words. */
function ends(report) {
    const places = [];
    for (const stop of report.stops) {
        if (stop.results.length === 0 && report.verdict === "dropped") {
            const last = stop.steps.findLast((step) => step.outcome === "dropped");
            places.push(`${stop.component}: ${last?.title || "nothing comes out"}`);
        }
        for (const result of stop.results) {
            if (result.verdict === report.verdict) places.push(`${stop.component}: ${result.destination}`);
        }
    }
    return places.join("; ");
}

function stop(one) {
    const [look, word] = verdicts[one.verdict] ?? verdicts.unknown;
    return h("li", { class: "stop", id: `stop-${one.number}` },
        h("h2", {}, h("span", { class: "stop-number" }, String(one.number)), " ", link(componentPath(one.component), {}, one.component),
            " ", h("span", { class: `badge ${look}` }, word)),
        h("p", { class: "kind" }, one.from === null ? "The item enters here" : `From ${one.from}`,
            one.line ? `, ${one.file}:${one.line}` : ""),
        one.from === null && itemText(one.item),
        one.notes.map((text) => h("p", { class: "explain-note" }, text)),
        one.steps.length > 0 && h("ol", { class: "steps" }, one.steps.map(step)),
        h("ul", { class: "results" }, one.results.length === 0
            ? h("li", {}, h("span", { class: "badge unhealthy" }, "nothing comes out"))
            : one.results.map(result)));
}

function step(one) {
    return h("li", { class: "step" },
        h("p", {}, h("span", { class: `badge ${outcomes[one.outcome] ?? ""}` }, one.outcome), " ",
            h("b", { class: "wrap" }, one.title), one.detail && h("span", { class: "wrap" }, `: ${one.detail}`),
            one.line ? h("span", { class: "kind" }, ` ${one.file}:${one.line}`) : null),
        one.found.length > 0 && h("p", { class: "found" }, "found ", one.found.map((pair) => chip(pair.name, pair.value))),
        // Another kind of item has little in common with the one before.
        one.changes.some((each) => each.field === "kind") ? itemText(one.after)
            : one.changes.length > 0 && h("ul", { class: "diff" }, one.changes.map(change)),
        one.text && h("details", {}, h("summary", {}, "as written"), h("pre", {}, one.text)));
}

function change(one) {
    const name = one.field === "label" ? one.name : [one.field, one.name].filter(Boolean).join(" ");
    return [
        one.before !== null && h("li", { class: "minus" }, h("span", { "aria-label": "before" }, "\u2212 "), `${name} = ${JSON.stringify(one.before)}`),
        one.after !== null && h("li", { class: "plus" }, h("span", { "aria-label": "after" }, "+ "), `${name} = ${JSON.stringify(one.after)}`),
    ];
}

function result(one) {
    const [look, word] = verdicts[one.verdict] ?? verdicts.unknown;
    return h("li", {},
        one.to.length > 0
            ? h("span", {}, "to ", one.to.map((id, index) => [index > 0 && ", ", link(componentPath(id), {}, id)]))
            : h("span", { class: "wrap" }, h("span", { class: `badge ${look}` }, word), " ", one.destination),
        itemText(one.item));
}

function chip(name, value) {
    return h("span", { class: "label" }, h("span", {}, name), "=", JSON.stringify(value));
}

function itemText(item) {
    const metadata = Object.entries(item.metadata ?? {});
    return h("p", { class: "item wrap" }, h("span", { class: "kind" }, item.kind.replace("_", " "), " "),
        Object.entries(item.labels).map(([name, value]) => chip(name, value)),
        metadata.length > 0 && [h("span", { class: "kind" }, "metadata "), metadata.map(([name, value]) => chip(name, value))],
        typeof item.line === "string" && h("code", { class: "item-line" }, item.line));
}

"""###),
        ConsoleAsset(name: "page-explore.js", type: "text/javascript; charset=utf-8", tag: "b137791be2feb61877c7", text: ###"""
// What an invar.recent keeps: plots of series, log entries, traces.

import { h, note, setAttribute } from "./dom.js";
import { getJSON, store } from "./store.js";
import { metricsPane } from "./explore-metrics.js";
import { logsPane } from "./explore-logs.js";
import { tracesPane } from "./explore-traces.js";

const tabs = [
    { name: "metrics", title: "Metrics", pane: metricsPane },
    { name: "logs", title: "Logs", pane: logsPane },
    { name: "traces", title: "Traces", pane: tracesPane },
];
/** Milliseconds between questions. */
const pace = 1000;

const snippet = `invar.recent "console" { }

prometheus.scrape "app" {
  targets    = [{"__address__" = "127.0.0.1:8080"}]
  forward_to = [invar.recent.console.metrics_receiver]
}
// logs: forward_to = [invar.recent.console.logs_receiver]
// OTLP: output { traces = [invar.recent.console.input] }`;

function stores() {
    return [...store.components.keys()].filter((id) => id.slice(id.lastIndexOf("/") + 1).startsWith("invar.recent."));
}

/** Asks the store `id`; throws with what it said. */
function asker(id) {
    const path = "api/v0/component/" + id.split("/").map(encodeURIComponent).join("/");
    return async (what, parameters = {}) => {
        const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== undefined));
        try {
            return await getJSON(`${path}/${what}?${query}`);
        } catch (error) {
            let reason = error.message;
            try {
                reason = JSON.parse(reason).error ?? reason;
            } catch {
                // It is words already.
            }
            throw new Error(reason);
        }
    };
}

export function exploreView(content, { go, query }) {
    let id = query.get("store") ?? "";
    let tab = tabs.find((one) => one.name === query.get("tab")) ?? tabs[0];
    let pane = null;
    let timer = null;
    let isAsking = false;

    const choice = h("select", { "aria-label": "Store", onchange: () => { id = choice.value; open(); } });
    const buttons = tabs.map((one) => h("button", {
        type: "button", role: "tab", id: `tab-${one.name}`, "aria-controls": "explore-pane", onclick: () => {
            tab = one;
            remember({ match: "", text: "", trace: "" });
            open();
        },
    }, one.title));
    const place = h("div", { id: "explore-pane", role: "tabpanel" });
    const problem = h("p", { class: "error", role: "alert", hidden: true });
    content.append(h("div", { class: "title" }, h("h1", {}, "Explore"), choice),
        h("div", { class: "tools", role: "tablist", "aria-label": "Signals" }, buttons), problem, place);

    /** Keeps what is looked at in the address. */
    function remember(changes) {
        const next = new URLSearchParams(location.search);
        next.set("tab", tab.name);
        if (id !== "") next.set("store", id);
        for (const [name, value] of Object.entries(changes)) {
            if (value === "") next.delete(name);
            else next.set(name, value);
        }
        go(`explore?${next}`, { replace: true });
    }

    function offer() {
        const ids = stores();
        if ([...choice.options].map((one) => one.value).join("\n") !== ids.join("\n")) {
            choice.replaceChildren(...ids.map((one) => h("option", { value: one }, one)));
            if (!ids.includes(id)) id = ids[0] ?? "";
            choice.value = id;
            open();
        }
        choice.hidden = ids.length < 2;
        if (ids.length === 0 && store.components.size > 0 && !pane) {
            place.replaceChildren(note("Nothing is kept to look at", "Add a store to the configuration and send to it:",
                h("pre", {}, snippet)));
        }
    }

    function open() {
        for (const [index, button] of buttons.entries()) {
            setAttribute(button, "aria-selected", String(tabs[index] === tab));
            setAttribute(button, "aria-pressed", String(tabs[index] === tab));
        }
        place.setAttribute("aria-labelledby", `tab-${tab.name}`);
        if (id === "") return;
        pane = tab.pane(asker(id), { query: new URLSearchParams(location.search), remember, refresh });
        place.replaceChildren(pane.element);
        refresh();
    }

    async function refresh() {
        if (!pane || isAsking || document.hidden) return;
        isAsking = true;
        const asked = pane;
        try {
            await asked.refresh();
            problem.hidden = true;
        } catch (error) {
            problem.textContent = error.message;
            problem.hidden = false;
        }
        isAsking = false;
        if (asked !== pane) refresh();
    }

    store.addEventListener("structure", offer);
    offer();
    timer = setInterval(refresh, pace);
    return () => {
        store.removeEventListener("structure", offer);
        clearInterval(timer);
        pane?.close?.();
        pane = null;
    };
}

"""###),
        ConsoleAsset(name: "page-live.js", type: "text/javascript; charset=utf-8", tag: "15289f0e8e2999b07fd7", text: ###"""
// The items that pass a component, as they pass.

import { h, link, note, setText } from "./dom.js";
import { getJSON, store } from "./store.js";

const delimiter = "|;|";
/** Items kept on the page; older ones go. */
const most = 500;
/** At most this many milliseconds between drawings. */
const pace = 250;

/** Whether the configuration lets nobody look. */
async function isOff() {
    try {
        return !(await getJSON("api/v0/console/status")).liveDebugging;
    } catch {
        return false;
    }
}

function switchedOff() {
    return note("Live data is switched off", "Add ", h("code", {}, "livedebugging { enabled = true }"),
        " to the configuration and reload it.");
}

export function liveView(content, { go, query }) {
    let id = query.get("component") ?? "";
    let controller = null;
    let isPaused = false;
    let items = [];
    let waiting = [];
    let passed = 0;
    let hidden = 0;
    let timer = null;

    const choice = h("select", {
        "aria-label": "Component", onchange: () => {
            id = choice.value;
            go(`live?component=${encodeURIComponent(id)}`, { replace: true });
            restart();
        },
    });
    const share = h("select", { "aria-label": "Share", onchange: () => restart() },
        [[1, "every item"], [0.1, "one in 10"], [0.01, "one in 100"]].map(([value, text]) => h("option", { value }, text)));
    const filter = h("input", {
        type: "search", placeholder: "Filter: text, or /expression/", "aria-label": "Filter", oninput: () => draw(true),
    });
    const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => setPaused(!isPaused) }, "Pause");
    const clear = h("button", {
        type: "button", onclick: () => {
            items = [];
            waiting = [];
            draw(true);
        },
    }, "Clear");
    const count = h("p", { class: "summary", role: "status" });
    const problem = h("div");
    const list = h("ol", { class: "stream", tabindex: 0, "aria-label": "Items, newest first" });
    content.append(h("h1", {}, "Live data"),
        h("div", { class: "tools" }, choice, share, filter, pause, clear), count, problem, list);

    function setPaused(next) {
        isPaused = next;
        pause.setAttribute("aria-pressed", String(isPaused));
        setText(pause, isPaused ? "Go on" : "Pause");
        if (!isPaused) draw(true);
        else describe();
    }

    function offer() {
        const ids = [...store.components.values()].filter((one) => one.live).map((one) => one.id);
        const known = [...choice.options].map((option) => option.value).filter((value) => value !== "");
        if (known.join("\n") === ids.join("\n")) return;
        choice.replaceChildren(h("option", { value: "" }, "Choose a component"),
            ...ids.map((one) => h("option", { value: one, selected: one === id }, one)));
        choice.value = ids.includes(id) ? id : "";
    }

    function test() {
        const text = filter.value.trim();
        if (text === "") return () => true;
        const match = /^\/(.+)\/$/.exec(text);
        if (match) {
            try {
                const expression = new RegExp(match[1], "i");
                return (item) => expression.test(item.text);
            } catch {
                return () => true;
            }
        }
        const wanted = text.toLowerCase();
        return (item) => item.text.toLowerCase().includes(wanted);
    }

    function row(item) {
        const match = /^\[(IN|OUT)\]:? ?/.exec(item.text);
        const text = match ? item.text.slice(match[0].length) : item.text;
        return h("li", {}, h("time", { title: new Date(item.time).toString() }, new Date(item.time).toISOString().slice(11, 23)),
            match && h("span", { class: `way ${match[1].toLowerCase()}` }, match[1] === "IN" ? "in" : "out"),
            h("span", { class: "text" }, text));
    }

    function describe() {
        const parts = [`${passed} items seen`];
        if (isPaused && waiting.length > 0) parts.push(`${waiting.length} came while paused`);
        if (hidden > 0) parts.push(`${hidden} left out, too many to show`);
        setText(count, id === "" ? "" : parts.join(", "));
    }

    function draw(isWhole = false) {
        describe();
        if (isPaused && !isWhole) return;
        const fits = test();
        const fresh = waiting;
        if (!isPaused) {
            waiting = [];
            items = [...fresh.reverse(), ...items].slice(0, most);
        }
        if (isWhole) list.replaceChildren(...items.filter(fits).map(row));
        else {
            list.prepend(...fresh.filter(fits).map(row));
            while (list.children.length > most) list.lastChild.remove();
        }
    }

    function take(text) {
        passed += 1;
        waiting.push({ time: Date.now(), text });
        if (waiting.length > most) {
            hidden += waiting.length - most;
            waiting.splice(0, waiting.length - most);
        }
        timer ??= setTimeout(() => {
            timer = null;
            draw();
        }, pace);
    }

    async function restart() {
        controller?.abort();
        problem.replaceChildren();
        items = [];
        waiting = [];
        passed = 0;
        hidden = 0;
        draw(true);
        if (id === "") {
            if (await isOff()) {
                problem.append(switchedOff());
                return;
            }
            if (id !== "") return;
            problem.append(note("Choose a component", "What passes it appears here as it passes. Looking costs the program "
                + "a little while you look, and nothing when you leave."));
            return;
        }
        const mine = controller = new AbortController();
        try {
            const path = "api/v0/web/debug/" + id.split("/").map(encodeURIComponent).join("/");
            const response = await fetch(`${path}?sampleProb=${share.value}`, { signal: mine.signal });
            if (!response.ok) {
                problem.append(response.status === 503
                    ? switchedOff()
                    : note("Nothing can be shown", (await response.text()).trim()));
                return;
            }
            const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
            for (let rest = ""; ;) {
                const { value, done } = await reader.read();
                if (done) break;
                const parts = (rest + value).split(delimiter);
                rest = parts.pop();
                if (rest.length > 1 << 20) rest = "";
                for (const part of parts) take(part);
            }
            if (mine === controller) problem.append(note("The stream ended", "The program stopped or the component left. ",
                link(`live?component=${encodeURIComponent(id)}`, {}, "Look again")));
        } catch (error) {
            if (mine.signal.aborted) return;
            problem.append(note("The stream broke off", error.message, ". ",
                link(`live?component=${encodeURIComponent(id)}`, {}, "Look again")));
        }
    }

    store.addEventListener("structure", offer);
    offer();
    restart();
    return () => {
        controller?.abort();
        clearTimeout(timer);
        store.removeEventListener("structure", offer);
    };
}

"""###),
        ConsoleAsset(name: "page-pipeline.js", type: "text/javascript; charset=utf-8", tag: "6ef0c7865f4b52e44158", text: ###"""
// The pipeline as a graph, live.

import { componentPath, h, link, note, s, setText } from "./dom.js";
import { rate, short } from "./format.js";
import { GraphView, edgeWidth } from "./graph-view.js";
import { ledgerLine } from "./ledger.js";
import { store } from "./store.js";

const signals = [
    ["metrics", "metrics"], ["logs", "logs"], ["traces", "traces"], ["profiles", "profiles"], ["otlp", "OTLP"],
    ["targets", "targets"],
];

function legend() {
    const sample = (items) => s("svg", { width: 34, height: 18, "aria-hidden": "true" },
        s("line", { class: "edge-line", x1: 2, x2: 32, y1: 9, y2: 9, "stroke-width": edgeWidth(items) }));
    return h("details", { class: "legend" },
        h("summary", {}, "Legend"),
        h("ul", {},
            signals.map(([name, text]) => h("li", { class: `signal-${name}` }, sample(10), text)),
            [1, 100, 10000].map((items) => h("li", { class: "scale" }, sample(items), `${short(items)} items/s`)),
            h("li", {}, h("i", { class: "swatch healthy" }), "healthy"),
            h("li", {}, h("i", { class: "swatch unhealthy" }), "unhealthy or exited"),
            h("li", {}, h("i", { class: "swatch unknown" }), "unknown yet"),
            h("li", {}, h("i", { class: "pill loss" }, "\u22125/s"), "lost, with the reason"),
            h("li", {}, h("i", { class: "pill wanted" }, "\u22125/s"), "dropped by a rule of yours")));
}

export function pipelineView(content, { go }) {
    const graph = new GraphView();
    const found = h("span", { class: "found-count", role: "status" });
    const search = h("input", {
        type: "search", placeholder: "Search components", "aria-label": "Search components",
        oninput: () => {
            const count = graph.search(search.value);
            setText(found, search.value.trim() === "" ? "" : count === 0 ? "none" : `${count} found`);
        },
        onkeydown: (event) => {
            if (event.key === "Enter") graph.showNext();
            if (event.key === "Escape" && search.value !== "") {
                search.value = "";
                graph.search("");
                setText(found, "");
            }
        },
    });
    const window = h("select", {
        "aria-label": "Rates over",
        onchange: () => {
            store.window = Number(window.value);
            graph.refresh();
            panel.refresh();
        },
    }, [[5, "5 s"], [30, "30 s"], [60, "1 min"], [300, "5 min"]].map(([seconds, text]) =>
        h("option", { value: seconds * 1000, selected: store.window === seconds * 1000 }, `rates over ${text}`)));
    const fold = h("button", { type: "button", onclick: () => graph.foldAll(true) }, "Fold modules");
    const unfold = h("button", { type: "button", onclick: () => graph.foldAll(false) }, "Unfold");
    const panel = selectionPanel(graph, go);
    const empty = h("div", { class: "graph-note" });
    const stage = h("div", { class: "stage" }, graph.element, empty,
        h("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
            h("button", { type: "button", "aria-label": "Zoom in", onclick: () => graph.zoom(1.3) }, "+"),
            h("button", { type: "button", "aria-label": "Zoom out", onclick: () => graph.zoom(1 / 1.3) }, "\u2212"),
            h("button", { type: "button", "aria-label": "Show all", title: "Show all", onclick: () => graph.fit() }, "Fit")),
        legend(), panel.element);
    content.append(h("h1", { class: "hidden" }, "Pipeline"),
        h("div", { class: "tools" }, search, found, window, fold, unfold), stage);

    graph.addEventListener("open", (event) => go(componentPath(event.detail)));
    graph.addEventListener("select", (event) => panel.show(event.detail));

    let isFitted = false;
    const draw = () => {
        const hasModules = [...store.components.values()].some((component) => component.modules.length > 0);
        fold.hidden = unfold.hidden = !hasModules;
        empty.replaceChildren();
        if (store.version > 0 && store.components.size === 0) {
            empty.append(note("No components run", "The configuration has no component, or is not applied. ",
                link("configuration", {}, "See what was loaded"), "."));
        }
        if (store.version === 0) {
            const text = store.state === "lost"
                ? note("No answer", "The program does not answer. Is it running, and is this address still its own? "
                    + "This page tries again by itself.")
                : h("p", { class: "waiting" }, "Loading the pipeline");
            empty.append(text);
            return;
        }
        if (graph.isOutdated) {
            const start = performance.now();
            graph.rebuild();
            graph.element.dataset.drawn = (performance.now() - start).toFixed(1);
        }
        if (!isFitted && graph.element.getBoundingClientRect().width > 0) {
            graph.fit(graph.element.getBoundingClientRect().width < 600 ? 0.62 : 0.2);
            isFitted = true;
        }
    };
    const update = () => {
        draw();
        if (store.version > 0) graph.refresh();
        panel.refresh();
    };
    const resize = new ResizeObserver(() => draw());
    resize.observe(graph.element);
    const shortcut = (event) => {
        if (event.key !== "/" || event.target.matches("input, select, textarea")) return;
        event.preventDefault();
        search.focus();
    };
    document.addEventListener("keydown", shortcut);
    store.addEventListener("books", update);
    store.addEventListener("structure", draw);
    store.addEventListener("state", draw);
    draw();
    return () => {
        resize.disconnect();
        document.removeEventListener("keydown", shortcut);
        store.removeEventListener("books", update);
        store.removeEventListener("structure", draw);
        store.removeEventListener("state", draw);
    };
}

/** What is known of the chosen node, beside the graph. */
function selectionPanel(graph, go) {
    const element = h("aside", { class: "selection", hidden: true, "aria-label": "Chosen component" });
    let id = null;
    let parts = null;
    const show = (next) => {
        id = next;
        element.hidden = id === null;
        if (id === null) return;
        const component = store.components.get(id);
        if (!component) return;
        parts = {
            health: h("span", { class: `badge ${component.health}` }),
            message: h("p", { class: "message" }),
            rates: h("dl", { class: "facts" }),
            ledger: h("div"),
            drops: h("ul", { class: "drops" }),
        };
        element.replaceChildren(
            h("button", { class: "close", type: "button", "aria-label": "Close", onclick: () => graph.select(null) }, "\u00d7"),
            h("p", { class: "kind" }, component.name),
            h("h2", {}, component.label || component.name),
            component.module && h("p", { class: "kind" }, `in ${component.module}`),
            h("p", { class: "health-line" }, parts.health, h("moment-text", { at: component.since })), parts.message,
            parts.rates, parts.drops, parts.ledger,
            h("p", { class: "actions" },
                link(componentPath(id), { class: "button" }, "Open component"),
                component.live && link(`live?component=${encodeURIComponent(id)}`, { class: "button quiet" }, "Live data")));
        refresh();
    };
    const refresh = () => {
        if (id === null || !parts) return;
        const [component, node] = [store.components.get(id), graph.nodeOf(id)];
        if (!component || !node) return;
        const flow = graph.flowOf(node);
        setText(parts.health, component.health);
        parts.health.className = `badge ${component.health}`;
        setText(parts.message, component.message);
        const facts = [["in", rate(flow.in)], ["out", rate(flow.out)], ["dropped", rate(flow.dropped)],
            ["holds", short(flow.held)]];
        if (parts.rates.children.length === 0) {
            parts.rates.append(...facts.map(([name]) => h("div", {}, h("dt", {}, name), h("dd"))));
        }
        facts.forEach(([, text], index) => setText(parts.rates.children[index].lastChild, text));
        parts.drops.replaceChildren(...flow.drops.map((drop) =>
            h("li", {}, h("b", {}, short(drop.items)), ` dropped: ${drop.reason.replaceAll("_", " ")}, ${rate(drop.rate)} now`)));
        if (node.members.length === 0) parts.ledger.replaceChildren(ledgerLine(store.books.get(id)));
    };
    return { element, show, refresh };
}

"""###),
        ConsoleAsset(name: "page-system.js", type: "text/javascript; charset=utf-8", tag: "df9b038818bd2ec72a0d", text: ###"""
// The program itself: what it loaded, how it was started, what it uses, and what to send along with a question.

import { h, link, note, setText } from "./dom.js";
import { absolute, bytes, full, short, span } from "./format.js";
import { Plot } from "./plot.js";
import { getJSON } from "./store.js";

/** Loads `path` now and every few seconds, for as long as the view is shown. */
function follow(path, seconds, draw, fail) {
    let isGone = false;
    let timer = null;
    const load = async () => {
        if (!document.hidden) {
            try {
                const answer = await getJSON(path);
                if (isGone) return;
                draw(answer);
            } catch (error) {
                if (isGone) return;
                fail(error);
            }
        }
        timer = setTimeout(load, seconds * 1000);
    };
    load();
    return () => {
        isGone = true;
        clearTimeout(timer);
    };
}

// MARK: Configuration

export function configurationView(content) {
    const answer = h("div", { role: "status" });
    const area = h("div", {}, h("p", { class: "waiting" }, "Loading"));
    const button = h("button", { type: "button", class: "button" }, "Reload configuration");
    let last = "";
    const draw = (report) => {
        const text = JSON.stringify(report);
        if (text === last) return;
        last = text;
        area.replaceChildren(...configuration(report));
    };
    button.addEventListener("click", async () => {
        button.disabled = true;
        answer.replaceChildren(h("p", {}, "Reloading"));
        try {
            const response = await fetch(new URL("/-/reload", location.href), { method: "POST" });
            const text = (await response.text()).trim();
            answer.replaceChildren(response.ok
                ? h("p", { class: "good" }, "The configuration was reloaded.")
                : h("div", { class: "bad" }, h("p", {}, "The configuration has errors."), h("pre", {}, text)));
            draw(await getJSON("api/v0/console/configuration"));
        } catch (error) {
            answer.replaceChildren(h("p", { class: "bad" }, `No answer: ${error.message}`));
        }
        button.disabled = false;
    });
    content.append(h("header", { class: "title" }, h("h1", {}, "Configuration"), h("p", { class: "actions" }, button)), answer, area);
    return follow("api/v0/console/configuration", 5, draw,
        (error) => { if (last === "") area.replaceChildren(note("The configuration cannot be read", error.message)); });
}

function configuration(report) {
    if (!report) return [note("Nothing was loaded yet", "The program is starting. This page follows.")];
    const errors = report.diagnostics.filter((item) => item.severity === "error").length;
    const warnings = report.diagnostics.length - errors;
    const state = report.problem || errors > 0 ? "unhealthy" : "healthy";
    const words = report.problem ? "could not be read" : errors > 0
        ? report.applied ? "applied with errors" : "not applied" : "applied";
    return [
        h("p", { class: "health-line" }, h("span", { class: `badge ${state}` }, words), h("moment-text", { at: report.time }),
            errors > 0 && h("span", {}, `${errors} errors`), warnings > 0 && h("span", {}, `${warnings} warnings`)),
        report.problem && note("The configuration could not be read", report.problem,
            ". The program goes on with the one before. Correct it and reload."),
        errors > 0 && h("p", {}, report.applied
            ? "Components that could not be evaluated keep the arguments they had."
            : "The configuration before it still runs. Correct these places and reload."),
        report.diagnostics.length > 0 && h("section", {}, h("h2", {}, "Diagnostics"),
            h("ul", { class: "diagnostics" }, report.diagnostics.map((item) => h("li", { class: item.severity },
                h("span", { class: `badge ${item.severity === "error" ? "unhealthy" : "unknown"}` }, item.severity),
                item.file && h("code", {}, `${item.file}:${item.line}:${item.column}`),
                h("p", {}, item.message), item.notes.map((text) => h("p", { class: "kind" }, text)))))),
        h("section", {}, h("h2", {}, "Files"), report.files.length === 0
            ? h("p", { class: "empty" }, "No file was read.")
            : h("div", { class: "scroll" }, h("table", { class: "rows" }, h("thead", {}, h("tr", {}, h("th", {}, "File"),
                h("th", { class: "number" }, "Lines"), h("th", { class: "number" }, "Size"))),
            h("tbody", {}, report.files.map((file) => h("tr", {}, h("td", { class: "wrap" }, h("code", {}, file.name)),
                h("td", { class: "number" }, full(file.lines)), h("td", { class: "number" }, bytes(file.bytes)))))))),
        h("p", { class: "kind" }, "The texts stay on the machine: they may hold secrets. What was made of them is on the ",
            link("components", {}, "components' pages"), "."),
        h("section", {}, h("h2", {}, "Digest"), h("dl", { class: "pairs" },
            h("dt", {}, "loaded last"), h("dd", {}, h("code", {}, report.digest || "none")),
            h("dt", {}, "running"), h("dd", {}, h("code", {}, report.running ?? "none")),
            h("dt", {}, "at"), h("dd", {}, absolute(report.time)))),
    ].filter((part) => part instanceof Node);
}

// MARK: Flags

export function flagsView(content) {
    const search = h("input", { type: "search", placeholder: "Filter flags", "aria-label": "Filter flags" });
    const area = h("div", {}, h("p", { class: "waiting" }, "Loading"));
    let flags = null;
    const draw = () => {
        if (!flags) return;
        const wanted = search.value.trim().toLowerCase();
        const found = flags.filter((flag) => `${flag.name} ${flag.value}`.toLowerCase().includes(wanted));
        area.replaceChildren(found.length === 0 ? note("No flag fits", "Change the filter to see others.")
            : h("table", { class: "rows" }, h("thead", {}, h("tr", {}, h("th", {}, "Flag"), h("th", {}, "Value"))),
                h("tbody", {}, found.map((flag) => h("tr", {}, h("td", { class: "wrap" }, h("code", {}, `--${flag.name}`)),
                    h("td", { class: "wrap" }, h("code", {}, flag.value === "" ? "\u2013" : flag.value)))))));
    };
    search.addEventListener("input", draw);
    content.append(h("h1", {}, "Flags"), h("div", { class: "tools" }, search), area);
    return follow("api/v0/console/status", 60, (status) => {
        flags = status.flags;
        draw();
    }, (error) => area.replaceChildren(note("The flags cannot be read", error.message)));
}

// MARK: Runtime

export function runtimeView(content) {
    const cpu = new Plot("CPU, cores in use", (value) => value.toFixed(value < 1 ? 3 : 2));
    const resident = new Plot("resident memory", bytes);
    const buffers = new Plot("memory of buffers", bytes);
    const files = new Plot("open files", short);
    const facts = h("dl", { class: "facts wide" });
    const budget = h("section", {});
    const problem = h("div");
    content.append(h("h1", {}, "Runtime"), problem, facts,
        h("div", { class: "plots" }, cpu.element, resident.element, buffers.element, files.element), budget);
    const points = { cpu: [], resident: [], buffers: [], files: [] };
    let last = null;
    const draw = (status) => {
        problem.replaceChildren();
        const add = (name, value) => {
            points[name].push([status.time, value]);
            if (points[name].length > 300) points[name].shift();
        };
        if (last && status.time > last.time) add("cpu", (status.cpuSeconds - last.cpuSeconds) / ((status.time - last.time) / 1000));
        add("resident", status.residentBytes);
        add("buffers", status.memoryUsed);
        add("files", status.openFiles);
        last = status;
        cpu.update([{ name: "cores", kind: "main", points: points.cpu }]);
        resident.update([{ name: "resident", kind: "main", points: points.resident }]);
        buffers.update([{ name: "buffers", kind: "main", points: points.buffers }]);
        files.update([{ name: "open files", kind: "main", points: points.files }]);
        const age = status.time / 1000 - status.startSeconds;
        facts.replaceChildren(...[
            ["version", status.version], ["host", status.host], ["process", String(status.pid)],
            ["up for", span(Math.floor(age))], ["CPU used", span(status.cpuSeconds)],
            ["cores", String(status.cores)], ["resident", bytes(status.residentBytes)],
            ["open files", `${short(status.openFiles)} of ${short(status.maximumFiles)}`],
            ["listens on", status.listenAddress],
        ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
        const started = facts.children[3].lastChild;
        started.title = `since ${absolute(status.startSeconds * 1000)}`;
        budget.replaceChildren(...memory(status));
    };
    return follow("api/v0/console/status", 2, draw, (error) => problem.replaceChildren(note("No current numbers", error.message)));
}

function memory(status) {
    const share = status.memoryLimit > 0 ? status.memoryUsed / status.memoryLimit : 0;
    const words = { normal: "normal", high: "high: sources are slowed down", exhausted: "exhausted: items are refused" };
    const largest = Math.max(1, ...status.holdings.map((one) => one.bytes));
    return [
        h("h2", {}, "Memory budget"),
        h("p", {}, h("b", {}, bytes(status.memoryUsed)), ` of ${bytes(status.memoryLimit)} is held by buffers, pressure `,
            h("span", { class: `badge ${status.pressure === "normal" ? "healthy" : "unhealthy"}` }, words[status.pressure] ?? status.pressure)),
        h("meter", { min: 0, max: 1, high: 0.875, value: share.toFixed(4), "aria-label": "Share of the budget in use" }, `${(share * 100).toFixed(1)} %`),
        status.holdings.length === 0 ? h("p", { class: "empty" }, "No buffer is open.")
            : h("table", { class: "rows holdings" }, h("thead", {}, h("tr", {}, h("th", {}, "Buffer"), h("th", { class: "number" }, "Holds"), h("th", {}, ""))),
                h("tbody", {}, status.holdings.map((one) => h("tr", {}, h("td", { class: "wrap" }, one.name),
                    h("td", { class: "number" }, bytes(one.bytes)),
                    h("td", { class: "share" }, h("progress", { max: largest, value: one.bytes, "aria-label": `${one.name}: ${bytes(one.bytes)}` })))))),
    ];
}

// MARK: Support

export function supportView(content) {
    const seconds = h("select", { "aria-label": "Observe for" },
        [1, 10, 30, 60].map((value) => h("option", { value, selected: value === 10 }, `${value} s`)));
    const progress = h("p", { role: "status" });
    const button = h("button", { type: "button", class: "button" }, "Make support bundle");
    const area = h("div", {},
        h("p", {}, "An archive with the version, flags, components and their health, the books, metrics at the start and the end "
            + "of the time chosen, and the last log lines. Secrets are masked; host names, addresses and label values are not: "
            + "look at it before you pass it on."),
        h("p", { class: "tools" }, seconds, button), progress);
    content.append(h("h1", {}, "Support bundle"), area);
    button.addEventListener("click", async () => {
        button.disabled = true;
        let left = Number(seconds.value);
        const tick = setInterval(() => {
            left -= 1;
            setText(progress, left > 0 ? `Observing, ${left} s left` : "Packing");
        }, 1000);
        setText(progress, `Observing, ${left} s left`);
        try {
            const response = await fetch(new URL(`/-/support?duration=${left}`, location.href));
            if (!response.ok) throw new Error((await response.text()).trim());
            const archive = await response.blob();
            const anchor = h("a", {
                href: URL.createObjectURL(archive), download: "alloy-support-bundle.zip", "data-bytes": archive.size,
            }, `Download the support bundle (${bytes(archive.size)})`);
            progress.replaceChildren(anchor);
            anchor.click();
        } catch (error) {
            setText(progress, `No bundle: ${error.message}`);
        }
        clearInterval(tick);
        button.disabled = false;
    });
    let isGone = false;
    getJSON("api/v0/console/status").then((status) => {
        if (!isGone && !status.supportBundle) {
            area.replaceChildren(note("Support bundles are switched off", "Start the program without ",
                h("code", {}, "--server.http.disable-support-bundle"), " to make one."));
        }
    }, () => {});
    return () => { isGone = true; };
}

"""###),
        ConsoleAsset(name: "page-targets.js", type: "text/javascript; charset=utf-8", tag: "9b4a068de36cc4db17ee", text: ###"""
// Every target of every scrape: how it is, why it failed, how long it took; and the targets that rules dropped before.

import { componentPath, h, link, note, setText } from "./dom.js";
import { droppedTargets } from "./dropped-targets.js";
import { bytes, short, span } from "./format.js";
import { getJSON } from "./store.js";
import { labelList, targetDetail } from "./target-detail.js";

/** Rows drawn per pool before one asks for more. */
const pageLength = 200;
const columns = ["State", "Target", "Labels", "Last scrape", "Took", "Samples", "Size", ""];

export function targetsView(content, { query }) {
    let pools = [];
    let isGone = false;
    let timer = null;
    let hasAnswer = false;
    const shownRows = new Map();
    /** Details that are open, by pool and target; they stay the same while the rows around them are drawn anew. */
    const details = new Map();
    const search = h("input", {
        type: "search", placeholder: "Filter: job, url, label=value, error", "aria-label": "Filter targets",
        value: query.get("search") ?? "", oninput: () => draw(),
    });
    const state = h("select", { "aria-label": "State", onchange: () => draw() },
        [["", "any state"], ["down", "down"], ["up", "up"], ["unknown", "not scraped yet"]].map(([value, text]) =>
            h("option", { value, selected: query.get("state") === value }, text)));
    const summary = h("p", { class: "summary", role: "status" });
    const area = h("div");
    content.append(h("h1", {}, "Targets"), h("div", { class: "tools" }, search, state), summary, area, droppedTargets());

    function fits(target, words) {
        if (state.value !== "" && target.state !== state.value) return false;
        const text = [target.job, target.url, target.error,
            ...Object.entries(target.labels).map(([name, value]) => `${name}=${value}`)].join(" ").toLowerCase();
        return words.every((word) => text.includes(word));
    }

    function draw() {
        const words = search.value.trim().toLowerCase().split(/\s+/).filter((word) => word !== "");
        const counts = { up: 0, down: 0, unknown: 0 };
        for (const pool of pools) {
            for (const target of pool.targets) counts[target.state] = (counts[target.state] ?? 0) + 1;
        }
        summary.replaceChildren();
        if (!hasAnswer) return;
        if (pools.length === 0) {
            area.replaceChildren(note("Nothing is scraped", "The configuration has no ", h("code", {}, "prometheus.scrape"),
                ". Add one with ", h("code", {}, "targets"), " and reload, and its targets appear here."));
            return;
        }
        summary.append(h("span", { class: "badge healthy" }, `${counts.up} up`), " ",
            h("span", { class: counts.down > 0 ? "badge unhealthy" : "badge" }, `${counts.down} down`), " ",
            h("span", { class: "badge" }, `${counts.unknown} not scraped yet`));
        const open = new Map([...area.querySelectorAll("details.pool")].map((one) => [one.dataset.id, one.open]));
        const focused = area.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
        const sections = pools.map((pool) => section(pool, words, open)).filter((one) => one !== null);
        area.replaceChildren(...sections);
        if (sections.length === 0) area.append(note("No target fits", "Change the filter to see others."));
        if (focused !== undefined) {
            [...area.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus({ preventScroll: true });
        }
    }

    function section(pool, words, open) {
        const id = pool.component + "\n" + pool.job;
        const found = pool.targets.filter((target) => fits(target, words))
            .sort((a, b) => (a.state === "down" ? 0 : 1) - (b.state === "down" ? 0 : 1) || (a.url < b.url ? -1 : 1));
        if (found.length === 0 && (words.length > 0 || state.value !== "")) return null;
        const down = pool.targets.filter((target) => target.state === "down").length;
        return h("details", { class: "pool", open: open.get(id) ?? true, "data-id": id },
            h("summary", { "data-key": id }, h("b", {}, pool.component), pool.job && h("span", { class: "kind" }, ` ${pool.job}`), " ",
                h("span", { class: down > 0 ? "badge unhealthy" : "badge healthy" },
                    `${pool.targets.length - down} of ${pool.targets.length} up`), " ",
                link(componentPath(pool.component), {}, "component")),
            pool.targets.length === 0
                ? h("p", { class: "empty" }, "No targets: what feeds this scrape is empty now, or rules dropped all of it. Look at "
                    + "the exports of the component it refers to, and at the dropped targets below.")
                : table(id, pool, found));
    }

    function table(id, pool, found) {
        const shown = shownRows.get(id) ?? pageLength;
        return [h("div", { class: "scroll" }, h("table", { class: "rows targets" },
            h("thead", {}, h("tr", {}, columns.map((title, index) =>
                h("th", { scope: "col", class: index > 3 && title ? "number" : "" }, title || h("span", { class: "hidden" }, "Details"))))),
            h("tbody", {}, found.slice(0, shown).map((target) => rows(pool, target))))),
        found.length > shown && h("button", {
            type: "button", onclick: () => {
                shownRows.set(id, shown + 10 * pageLength);
                draw();
            },
        }, `${found.length - shown} more`)];
    }

    function rows(pool, target) {
        const key = [pool.component, pool.job, target.id].join("\n");
        const isOpen = details.has(key);
        const names = { up: "healthy", down: "unhealthy", unknown: "unknown" };
        const row = h("tr", { class: target.state === "down" ? "target down" : "target" },
            h("td", { "data-title": "State" }, h("span", { class: `badge ${names[target.state] ?? ""}` }, target.state)),
            h("td", { "data-title": "Target", class: "wrap" }, h("span", { class: "url" }, target.url),
                target.error && h("p", { class: "error" }, target.error)),
            h("td", { "data-title": "Labels", class: "labels" }, labelList(target.labels)),
            h("td", { "data-title": "Last scrape" }, h("moment-text", { at: target.last ?? 0 }),
                target.next !== null && h("span", { class: "kind next" }, "next ", h("moment-text", { ahead: true, at: target.next }))),
            h("td", { "data-title": "Took", class: "number" }, target.last ? span(target.seconds) : "\u2013"),
            h("td", { "data-title": "Samples", class: "number" }, target.last ? short(target.samples) : "\u2013"),
            h("td", { "data-title": "Size", class: "number" }, target.last ? bytes(target.bytes) : "\u2013"),
            h("td", {}, h("button", {
                type: "button", class: "quiet", "data-key": key, "aria-expanded": String(isOpen),
                "aria-label": `Details of ${target.url}`, onclick: () => {
                    if (details.has(key)) details.delete(key);
                    else details.set(key, targetDetail(pool, target));
                    draw();
                },
            }, isOpen ? "Close" : "Details")));
        if (!isOpen) return row;
        details.get(key).refresh(target);
        return [row, h("tr", { class: "detail" }, h("td", { colspan: columns.length }, details.get(key).element))];
    }

    /** Whether drawing anew would disturb: something is selected, or somebody reads or uses an open detail. */
    function isBusy() {
        const selection = document.getSelection();
        if (selection?.isCollapsed === false && area.contains(selection.anchorNode)) return true;
        return document.activeElement?.closest?.(".target-detail") !== null && area.contains(document.activeElement);
    }

    async function load() {
        if (!document.hidden && !isBusy()) {
            try {
                pools = await getJSON("api/v0/console/targets");
                if (isGone) return;
                hasAnswer = true;
                if (!isBusy()) draw();
            } catch (error) {
                if (isGone) return;
                if (!hasAnswer) area.replaceChildren(note("The targets cannot be read", error.message));
                else setText(summary, `Not current: ${error.message}`);
            }
        }
        if (!isGone) timer = setTimeout(load, 5000);
    }
    area.append(h("p", { class: "waiting" }, "Loading"));
    load();
    return () => {
        isGone = true;
        clearTimeout(timer);
    };
}

"""###),
        ConsoleAsset(name: "plot.js", type: "text/javascript; charset=utf-8", tag: "7c82968d503013d739b1", text: ###"""
// Small plots: lines over the last minutes, drawn anew at every update.

import { h, s, setAttribute, setText } from "./dom.js";

const width = 260;
const height = 64;

/** A plot with its title; `update(lines)` takes [{name, kind, points: [[time, value], ...]}]. */
export class Plot {
    #lines = [];

    constructor(title, format, { help = "" } = {}) {
        this.format = format;
        this.now = h("b");
        this.top = h("span", { class: "plot-top" });
        this.chart = s("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
            s("line", { class: "plot-base", x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 }));
        this.element = h("figure", { class: "plot", title: help },
            h("figcaption", {}, h("span", {}, title), this.now), this.chart, this.top);
    }

    update(lines) {
        const all = lines.flatMap((line) => line.points).filter((point) => Number.isFinite(point[1]));
        const [start, stop] = [Math.min(...all.map((point) => point[0])), Math.max(...all.map((point) => point[0]))];
        const most = Math.max(0, ...all.map((point) => point[1]));
        const lowest = Math.min(0, ...all.map((point) => point[1]));
        const range = most - lowest || 1;
        while (this.#lines.length < lines.length) {
            const path = s("path", {});
            const title = s("title", {});
            path.append(title);
            this.chart.append(path);
            this.#lines.push({ path, title });
        }
        for (const [index, { path, title }] of this.#lines.entries()) {
            const line = lines[index];
            if (!line) {
                path.setAttribute("d", "");
                continue;
            }
            setAttribute(path, "class", `plot-line ${line.kind ?? ""}`);
            setText(title, line.name);
            let d = "";
            for (const [time, value] of line.points) {
                if (!Number.isFinite(value)) continue;
                const x = stop > start ? (time - start) / (stop - start) * width : width;
                const y = height - 2 - (value - lowest) / range * (height - 6);
                d += `${d === "" ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
            }
            path.setAttribute("d", d);
        }
        const latest = lines.map((line) => line.points[line.points.length - 1]?.[1]).filter(Number.isFinite);
        setText(this.now, latest.length === 0 ? "\u2013" : latest.slice(0, 2).map(this.format).join(" / "));
        setText(this.top, all.length > 1 ? `max ${this.format(most)}, ${Math.round((stop - start) / 1000)} s` : "");
    }
}

"""###),
        ConsoleAsset(name: "store.js", type: "text/javascript; charset=utf-8", tag: "10fc7c2996a96a045891", text: ###"""
// The pipeline as the program tells it: components, their books, and what the books were a while ago.

/** Distance of updates asked for, and how far back rates and plots reach, in milliseconds. */
const interval = 1000;
const reach = 5 * 60_000;

/** One component's books at one moment, reduced to what is plotted. */
function moment(time, books) {
    const dropped = new Map();
    for (const entry of books.dropped) {
        dropped.set(entry.reason, (dropped.get(entry.reason) ?? 0) + entry.items);
    }
    const edges = new Map();
    for (const edge of books.edges) edges.set(edge.to + "\n" + edge.signal, edge.accepted);
    return {
        time, in: books.in, out: books.out, created: books.created, merged: books.merged,
        dropped, edges,
        droppedItems: books.dropped.reduce((sum, entry) => sum + entry.items, 0),
        held: books.held.reduce((sum, entry) => sum + entry.items, 0),
    };
}

class Store extends EventTarget {
    components = new Map();
    books = new Map();
    history = new Map();
    memory = { limit: 0, used: 0 };
    /** Over how many milliseconds rates are taken. */
    window = 30_000;
    /** "connecting", "live", "lost" */
    state = "connecting";
    time = 0;
    /** Grows when components come, go or change. */
    version = 0;

    start() {
        document.addEventListener("visibilitychange", () => {
            if (document.hidden) this.#close();
            else this.#open();
        });
        this.#open();
    }

    #source = null;

    #open() {
        if (this.#source) return;
        const source = new EventSource(`api/v0/console/stream?interval=${interval}`);
        source.addEventListener("structure", (event) => {
            this.components = new Map(JSON.parse(event.data).map((component) => [component.id, component]));
            this.version += 1;
            this.dispatchEvent(new Event("structure"));
        });
        source.addEventListener("books", (event) => this.#take(JSON.parse(event.data)));
        source.addEventListener("open", () => this.#turn("live"));
        source.addEventListener("error", () => {
            this.#turn("lost");
            if (source.readyState === EventSource.CLOSED) {
                this.#close();
                setTimeout(() => { if (!document.hidden) this.#open(); }, 3000);
            }
        });
        this.#source = source;
    }

    #close() {
        this.#source?.close();
        this.#source = null;
    }

    #turn(state) {
        if (this.state === state) return;
        this.state = state;
        this.dispatchEvent(new Event("state"));
    }

    #take(update) {
        // A program that was started anew counts from zero: what was before says nothing about it.
        const restarted = update.ledger.some((books) => {
            const before = this.books.get(books.componentID);
            return before && (books.in < before.in || books.out < before.out);
        });
        if (restarted) {
            this.books.clear();
            this.history.clear();
        }
        this.time = update.time;
        this.memory = { limit: update.memoryLimit, used: update.memoryUsed };
        for (const books of update.ledger) this.books.set(books.componentID, books);
        for (const [id, books] of this.books) {
            let moments = this.history.get(id);
            if (!moments) this.history.set(id, moments = []);
            moments.push(moment(update.time, books));
            while (moments.length > 2 && moments[0].time < update.time - reach) moments.shift();
        }
        this.#turn("live");
        this.dispatchEvent(new Event("books"));
    }

    /** The first and the last moment of the window rates are taken over; null before there are two. */
    between(id) {
        const moments = this.history.get(id);
        if (!moments || moments.length < 2) return null;
        const last = moments[moments.length - 1];
        let first = moments[0];
        for (let index = moments.length - 2; index >= 0; index -= 1) {
            first = moments[index];
            if (last.time - first.time >= this.window) break;
        }
        return last.time > first.time ? [first, last, (last.time - first.time) / 1000] : null;
    }

    /** What a component does per second, what it holds and what it has dropped, by reason. */
    flow(id) {
        const moments = this.history.get(id);
        const now = moments?.[moments.length - 1];
        const flow = {
            in: 0, out: 0, dropped: 0, held: now?.held ?? 0, drops: [], droppedItems: now?.droppedItems ?? 0,
            isKnown: false,
        };
        if (!now) return flow;
        const pair = this.between(id);
        if (pair) {
            const [first, last, seconds] = pair;
            flow.isKnown = true;
            flow.in = (last.in - first.in) / seconds;
            flow.out = (last.out - first.out) / seconds;
            flow.dropped = (last.droppedItems - first.droppedItems) / seconds;
        }
        for (const [reason, items] of now.dropped) {
            if (items === 0) continue;
            const before = pair ? pair[0].dropped.get(reason) ?? 0 : items;
            flow.drops.push({ reason, items, rate: pair ? (items - before) / pair[2] : 0 });
        }
        flow.drops.sort((a, b) => b.rate - a.rate || b.items - a.items);
        return flow;
    }

    /** Items per second on an edge of the books. */
    edgeRate(from, to, signal) {
        const pair = this.between(from);
        if (!pair) return 0;
        const key = to + "\n" + signal;
        return ((pair[1].edges.get(key) ?? 0) - (pair[0].edges.get(key) ?? 0)) / pair[2];
    }
}

export const store = new Store();

/** Fetches JSON of the program; throws with what it said. */
export async function getJSON(path) {
    const response = await fetch(path, { headers: { accept: "application/json" } });
    if (!response.ok) throw new Error((await response.text()).trim() || `${response.status} ${response.statusText}`);
    return response.json();
}

"""###),
        ConsoleAsset(name: "target-detail.js", type: "text/javascript; charset=utf-8", tag: "74146c0d2c4e8890ab7b", text: ###"""
// One target in full: its labels before and after the rules, its schedule, and what it answers now.

import { h, link, setText } from "./dom.js";
import { absolute, bytes, full, span } from "./format.js";
import { getJSON } from "./store.js";

/** Labels as small boxes. */
export function labelList(labels) {
    return Object.entries(labels).map(([name, value]) =>
        h("span", { class: "label" }, h("span", {}, name), "=", JSON.stringify(value)));
}

/** The detail of a target; `refresh(target)` brings it up to date. */
export function targetDetail(pool, target) {
    const query = new URLSearchParams({ component: pool.component, job: pool.job, target: target.id });
    const facts = h("dl", { class: "facts" });
    const labels = h("div", {}, h("p", { class: "waiting" }, "Loading"));
    const answer = h("div", { role: "status" });
    const ask = h("button", { type: "button", onclick: () => fetchAnswer() }, "Ask the target now");
    const element = h("div", { class: "target-detail" }, facts,
        h("h3", {}, "Labels, as discovered and as scraped"), labels,
        h("h3", {}, "Answer"),
        h("p", { class: "tools" }, ask, h("span", { class: "kind" },
            "One request as the scrape makes it. What comes back is shown here and goes nowhere else.")), answer);

    getJSON(`api/v0/console/targets/labels?${query}`).then(
        (both) => labels.replaceChildren(labelTable(both), explainLink(pool, both.labels)),
        (error) => labels.replaceChildren(h("p", { class: "empty" }, error.message === "target not found"
            ? "The target is no longer there." : error.message)));

    async function fetchAnswer() {
        ask.disabled = true;
        answer.replaceChildren(h("p", { class: "waiting" }, "Asking"));
        try {
            const response = await fetch(`api/v0/console/targets/answer?${query}`, { method: "POST" });
            if (!response.ok) throw new Error((await response.text()).trim());
            answer.replaceChildren(...answerParts(await response.json()));
        } catch (error) {
            answer.replaceChildren(h("p", { class: "error" }, error.message === "target not found"
                ? "The target is no longer there." : error.message));
        }
        ask.disabled = false;
        setText(ask, "Ask again");
    }

    function refresh(next) {
        facts.replaceChildren(...[
            ["job", next.job], ["every", span(next.interval)], ["timeout", span(next.timeout)],
            ["last scrape", next.last ? absolute(next.last) : "never"],
            ["next scrape", next.next ? absolute(next.next) : "not planned"],
            ["samples", next.last ? full(next.samples) : "\u2013"],
            ["size", next.last ? `${bytes(next.bytes)}, decompressed` : "\u2013"],
        ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    }
    refresh(target);
    return { element, refresh };
}

/** The way to the rules the target meets, one by one. */
function explainLink(pool, labels) {
    const question = new URLSearchParams({ item: "labels", value: JSON.stringify(labels), at: pool.component });
    return h("p", {}, link(`explain?${question}`, {}, "Explain: every rule it meets, step by step"));
}

function labelTable({ discovered, labels }) {
    const names = [...new Set([...Object.keys(discovered), ...Object.keys(labels)])].sort();
    const cell = (title, value) => h("td", { "data-title": title, class: "wrap" },
        value === undefined ? h("span", { class: "empty" }, "\u2013") : h("code", {}, JSON.stringify(value)));
    return h("div", { class: "scroll" }, h("table", { class: "rows label-table" },
        h("thead", {}, h("tr", {}, ["Label", "Discovered", "Scraped"].map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, names.map((name) => h("tr", {
            class: discovered[name] !== undefined && labels[name] !== undefined && discovered[name] !== labels[name] ? "changed" : "",
        }, h("th", { scope: "row", class: "wrap" }, h("code", {}, name)),
        cell("Discovered", discovered[name]), cell("Scraped", labels[name]))))));
}

function answerParts(one) {
    const parts = [];
    if (one.problem) parts.push(h("p", { class: "error" }, one.problem));
    if (one.status === 0) return parts.length > 0 ? parts : [h("p", { class: "error" }, "There was no answer.")];
    parts.push(h("p", {}, h("span", { class: `badge ${one.status === 200 ? "healthy" : "unhealthy"}` }, `HTTP ${one.status}`), " ",
        one.contentType || "no content type", `, ${bytes(one.bytes)}, ${span(one.seconds)}`));
    if (one.truncated) parts.push(h("p", { class: "empty" }, `Only the first ${bytes(one.bytes)} are shown.`));
    parts.push(one.body === "" ? h("p", { class: "empty" }, "The body is empty.")
        : h("pre", { class: "answer", tabindex: 0, "aria-label": "Body of the answer" }, one.body));
    return parts;
}

"""###),
        ConsoleAsset(name: "time-plot.js", type: "text/javascript; charset=utf-8", tag: "72076aec8f69352a3d6e", text: ###"""
// A plot of several lines over time, with axes and a readout under the pointer.

import { h, s } from "./dom.js";
import { short } from "./format.js";

const width = 1000;
const height = 320;
const left = 64;
const bottom = 26;
const colours = 8;

/** The class that colours the line at `place`. */
export function colourClass(place) { return `line-${place % colours}`; }

/** Round steps: about `count` of them from `low` to `high`. */
function steps(low, high, count) {
    const rough = (high - low) / count || 1;
    const size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * size).find((one) => one >= rough) ?? rough;
    const values = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) values.push(value);
    return values;
}

function clock(time) { return new Date(time).toTimeString().slice(0, 8); }

export class TimePlot {
    #lines = [];
    #start = 0;
    #end = 1;
    #low = 0;
    #high = 1;
    #unit = "";

    constructor() {
        this.grid = s("g", { class: "grid" });
        this.paths = s("g", {});
        this.cursor = s("line", { class: "cursor", y1: 0, y2: height - bottom, visibility: "hidden" });
        this.chart = s("svg", {
            viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Plot of the series below",
            onpointermove: (event) => this.#point(event), onpointerleave: () => this.#leave(),
        }, this.grid, this.paths, this.cursor);
        this.readout = h("p", { class: "readout", "aria-live": "off" }, "\u00a0");
        this.element = h("figure", { class: "time-plot" }, this.chart, this.readout);
    }

    #x(time) { return left + (time - this.#start) / (this.#end - this.#start) * (width - left); }

    #y(value) { return height - bottom - (value - this.#low) / (this.#high - this.#low) * (height - bottom - 8); }

    /** Draws lines of {name, place, points: [[time, value or null], ...]} between two moments. */
    draw(lines, start, end, unit) {
        [this.#lines, this.#start, this.#end, this.#unit] = [lines, start, end, unit];
        const values = lines.flatMap((line) => line.points.map((point) => point[1])).filter((value) => value !== null);
        this.#low = values.reduce((low, value) => Math.min(low, value), 0);
        this.#high = values.reduce((high, value) => Math.max(high, value), this.#low);
        if (this.#high === this.#low) this.#high = this.#low + 1;
        this.#drawGrid();
        this.paths.replaceChildren(...lines.map((line) => s("path", {
            class: `plot-line ${colourClass(line.place)}`, d: this.#path(line.points),
        }, s("title", {}, line.name))));
    }

    #path(points) {
        let d = "";
        let isDown = false;
        for (const [time, value] of points) {
            if (value === null) {
                isDown = false;
                continue;
            }
            d += `${isDown ? "L" : "M"}${this.#x(time).toFixed(1)} ${this.#y(value).toFixed(1)}`;
            // A sample alone is a dot.
            if (!isDown) d += "h0.1";
            isDown = true;
        }
        return d;
    }

    #drawGrid() {
        const parts = [];
        for (const value of steps(this.#low, this.#high, 5)) {
            const y = this.#y(value);
            parts.push(s("line", { x1: left, x2: width, y1: y, y2: y }),
                s("text", { x: left - 8, y: y + 4, class: "value" }, short(value) + this.#unit));
        }
        for (let index = 0; index <= 4; index += 1) {
            const time = this.#start + (this.#end - this.#start) * index / 4;
            const anchor = index === 4 ? "last" : index === 0 ? "first" : "middle";
            parts.push(s("text", { x: this.#x(time), y: height - 6, class: anchor }, clock(time)));
        }
        this.grid.replaceChildren(...parts);
    }

    #point(event) {
        const box = this.chart.getBoundingClientRect();
        const x = (event.clientX - box.left) / box.width * width;
        const time = this.#start + (x - left) / (width - left) * (this.#end - this.#start);
        const near = this.#lines.map((line) => {
            const point = line.points.reduce((best, one) => one[1] !== null
                && (!best || Math.abs(one[0] - time) < Math.abs(best[0] - time)) ? one : best, null);
            return { line, point };
        }).filter((one) => one.point);
        if (near.length === 0 || x < left) return this.#leave();
        this.cursor.setAttribute("x1", x);
        this.cursor.setAttribute("x2", x);
        this.cursor.setAttribute("visibility", "visible");
        near.sort((a, b) => b.point[1] - a.point[1]);
        const parts = near.slice(0, 6).map(({ line, point }) => `${line.name} ${short(point[1])}${this.#unit}`);
        if (near.length > 6) parts.push(`${near.length - 6} more`);
        this.readout.textContent = `${clock(time)}  ${parts.join("   ")}`;
    }

    #leave() {
        this.cursor.setAttribute("visibility", "hidden");
        this.readout.textContent = "\u00a0";
    }
}

"""###),
        ConsoleAsset(name: "value.js", type: "text/javascript; charset=utf-8", tag: "fa08ecd20f7d9bae4a0f", text: ###"""
// Values in Alloy's JSON encoding, shown as the configuration language writes them.

import { componentPath, h, link } from "./dom.js";
import { full } from "./format.js";
import { store } from "./store.js";

/** How many elements of a list or object are shown before one asks for more. */
const pageLength = 40;

function scalar(value) {
    switch (value.type) {
    case "null": return h("span", { class: "v-null" }, "null");
    case "bool": return h("span", { class: "v-bool" }, String(value.value));
    case "number": return h("span", { class: "v-number", title: full(value.value) }, String(value.value));
    case "string": return string(value.value);
    case "capsule": return h("span", { class: value.value === "(secret)" ? "v-secret" : "v-capsule" }, String(value.value));
    case "function": return h("span", { class: "v-capsule" }, "function");
    default: return h("span", { class: "v-capsule" }, String(value.value));
    }
}

function string(text) {
    const shown = h("span", { class: "v-string" }, JSON.stringify(text));
    return store.components.has(text) ? link(componentPath(text), {}, shown) : shown;
}

function long(entries, draw) {
    const list = h("ul", { class: "v-list" }, entries.slice(0, pageLength).map(draw));
    if (entries.length <= pageLength) return list;
    let shown = pageLength;
    const more = h("button", {
        type: "button", class: "quiet", onclick: () => {
            list.append(...entries.slice(shown, shown + 10 * pageLength).map(draw));
            shown = Math.min(entries.length, shown + 10 * pageLength);
            more.textContent = `${entries.length - shown} more`;
            if (shown === entries.length) more.remove();
        },
    }, `${entries.length - shown} more`);
    return [list, more];
}

/** One value. */
export function valueElement(value) {
    if (value.type === "array") {
        if (value.value.length === 0) return h("span", { class: "v-null" }, "[]");
        if (value.value.length <= 6 && value.value.every((one) => one.type !== "array" && one.type !== "object")) {
            return h("span", {}, "[", value.value.map((one, index) => [index > 0 ? ", " : "", scalar(one)]), "]");
        }
        return h("details", { open: value.value.length <= 4 },
            h("summary", {}, `${value.value.length} elements`),
            long(value.value, (one) => h("li", {}, valueElement(one))));
    }
    if (value.type === "object") {
        if (value.value.length === 0) return h("span", { class: "v-null" }, "{}");
        return long(value.value, (entry) => h("li", {}, h("span", { class: "v-key" }, entry.key), " = ", valueElement(entry.value)));
    }
    return scalar(value);
}

function isPlain(entry) {
    return entry.type === "attr";
}

/** Attributes and blocks as a table; blocks open to tables of their own. */
export function bodyElement(body) {
    const table = h("table", { class: "values" }, h("tbody"));
    const rows = table.lastChild;
    const repeated = new Map();
    for (const entry of body) if (!isPlain(entry)) repeated.set(entry.name, (repeated.get(entry.name) ?? 0) + 1);
    for (const entry of body) {
        if (isPlain(entry)) {
            rows.append(h("tr", {}, h("th", { scope: "row" }, entry.name), h("td", {}, valueElement(entry.value))));
            continue;
        }
        const inner = entry.body ?? [];
        const name = entry.label ? `${entry.name} "${entry.label}"` : entry.name;
        rows.append(h("tr", { class: "block" }, h("th", { scope: "row" }, name),
            h("td", {}, inner.length === 0
                ? h("span", { class: "v-null" }, "{ }")
                : h("details", { open: (repeated.get(entry.name) ?? 0) <= 3 },
                    h("summary", {}, summary(inner)), bodyElement(inner)))));
    }
    return table;
}

function summary(inner) {
    const named = inner.find((entry) => isPlain(entry) && entry.value.type === "string" && entry.value.value !== "");
    return named ? `${named.name} = ${JSON.stringify(named.value.value).slice(0, 90)}` : `${inner.length} values`;
}

/** The plain JavaScript value of an attribute in a body; undefined when there is none. */
export function attribute(body, name) {
    const entry = body.find((one) => one.type === "attr" && one.name === name);
    return entry ? plain(entry.value) : undefined;
}

function plain(value) {
    if (value.type === "array") return value.value.map(plain);
    if (value.type === "object") return Object.assign(Object.create(null), Object.fromEntries(
        value.value.map((entry) => [entry.key, plain(entry.value)])));
    return value.value;
}

"""###),
    ]
}
