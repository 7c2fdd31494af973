"""Repositories that together use the whole grammar of `dvc.yaml`, for the comparison with DVC itself."""

from __future__ import annotations

PARAMS = """\
lr: 1e-3
depth: 010
flag: yes
on: true
name: "a b"
none: null
train: {epochs: 3, lr: 0.5, layers: [8, 16]}
models:
  us: {size: 3, gamma: 0.1}
  uk: {size: 5, gamma: 1e5}
regions: [us, uk]
grid:
- {a: 1, b: x}
- {a: 2, b: y}
1: ignored
s0: {lr: 1}
"""

CORPUS: dict[str, dict[str, str]] = {
    "simple": {
        "dvc.yaml": "stages:\n  a:\n    cmd: echo a\n    deps: [src.py, data/]\n    outs: [out/a.txt]\n  b:\n    cmd: [echo b, echo c]\n    deps:\n    - out/a.txt\n    outs:\n    - b\n"
    },
    "callback and always changed": {
        "dvc.yaml": "stages:\n  a:\n    cmd: date\n  b:\n    cmd: date\n    deps: [x]\n    always_changed: true\n  c:\n    cmd: date\n    outs: [c.txt]\n  d:\n    cmd: date\n    params: [lr]\n",
        "params.yaml": PARAMS,
    },
    "frozen, desc and meta": {
        "dvc.yaml": "stages:\n  a:\n    cmd: date\n    outs: [o]\n    frozen: true\n    desc: |\n      Two\n      lines\n    meta: {owner: me, list: [1, {a: 2}]}\n"
    },
    "wdir": {
        "dvc.yaml": "stages:\n  a:\n    cmd: x\n    wdir: sub/deep\n    deps: [in.txt, ../up.txt, ../../top.txt]\n    params: [lr, {../other.yaml: [a]}]\n    outs: [o, ../p/q]\n",
        "sub/deep/params.yaml": "lr: 1\n",
        "sub/other.yaml": "a: 1\n",
    },
    "wdir is the parent": {
        "sub/dvc.yaml": "stages:\n  a:\n    cmd: x\n    wdir: ..\n    deps: [top]\n    params: [lr]\n    outs: [sub/o]\n",
        "params.yaml": PARAMS,
    },
    "nested files": {
        "dvc.yaml": "stages:\n  a:\n    cmd: x\n    outs: [data/a]\n",
        "sub/dvc.yaml": "stages:\n  a:\n    cmd: y ${lr}\n    deps: [../data/a]\n    params: [lr]\n    outs: [o]\n",
        "sub/params.yaml": "lr: 7\n",
        "params.yaml": PARAMS,
        "sub/deeper/dvc.yaml": "stages:\n  z:\n    cmd: run ${k}\n    deps: [../o]\nvars:\n- ../params.yaml\n- k: 1\n",
    },
    "templates": {
        "dvc.yaml": "stages:\n  ${a}:\n    cmd: literal\n  a:\n    cmd: train --lr ${lr} --d ${depth} --f ${flag} --on ${on} --n ${name} ${none} ${train.layers[1]} ${models.us.size}\n    deps: ['${regions[0]}.csv', \"in-${train.epochs}\"]\n    outs: ['o-${name}', '${models[uk].size}.out']\n    desc: about ${name}\n",
        "params.yaml": PARAMS,
    },
    "escapes": {
        "dvc.yaml": "stages:\n  a:\n    cmd: echo \\${HOME} ${lr} $PATH $(date) \\\\${lr}\n    outs: ['\\${x}']\n",
        "params.yaml": PARAMS,
    },
    "templated wdir": {
        "dvc.yaml": "vars:\n- where: models\nstages:\n  a:\n    cmd: x\n    wdir: ${where}\n    deps: [i]\n    outs: [o]\n  b:\n    cmd: x\n    wdir: data/${where}\n    outs: [o]\n"
    },
    "templated params": {
        "dvc.yaml": "vars:\n- file: conf/a.yaml\n  key: train.lr\nstages:\n  a:\n    cmd: x\n    params: ['${key}', '${file}': [b.c, '${key}'], 'conf/${whole}.yaml': null]\n    outs: [o]\n",
        "params.yaml": PARAMS + "whole: w\n",
        "conf/a.yaml": "b: {c: 1}\ntrain: {lr: 1}\n",
        "conf/w.yaml": "x: 1\n",
    },
    "foreach list": {
        "dvc.yaml": "stages:\n  a:\n    foreach: [us, uk, 3, 1.5, true, null]\n    do:\n      cmd: x ${item}\n      deps: ['${item}.csv']\n      outs: ['o/${item}']\n"
    },
    "foreach list of dicts": {
        "dvc.yaml": "stages:\n  a:\n    foreach:\n    - {n: us, v: [1, 2]}\n    - {n: uk, v: [3]}\n    do:\n      cmd: x ${item.n} ${item.v[0]}\n      outs: ['o-${item.n}']\n"
    },
    "foreach dict": {
        "dvc.yaml": "stages:\n  a:\n    foreach:\n      us: {v: 1}\n      uk: {v: 2}\n    do:\n      cmd: x ${key} ${item.v}\n      outs: ['o-${key}']\n      wdir: w-${key}\n"
    },
    "foreach dict of scalars": {
        "dvc.yaml": "stages:\n  a:\n    foreach: {us: 1, uk: two}\n    do:\n      cmd: x ${key} ${item}\n      outs: ['o-${key}']\n"
    },
    "foreach from params": {
        "dvc.yaml": "stages:\n  a:\n    foreach: ${regions}\n    do:\n      cmd: x ${item} ${lr}\n      outs: ['o-${item}']\n  b:\n    foreach: ${models}\n    do:\n      cmd: y ${key} ${item.gamma}\n      deps: ['o-${key}']\n      outs: ['p-${key}']\n      params: ['models.${key}']\n  c:\n    foreach: ${grid}\n    do:\n      cmd: z ${item.a} ${item.b}\n      frozen: true\n      outs: ['q-${item.a}']\n",
        "params.yaml": PARAMS,
    },
    "matrix": {
        "dvc.yaml": "stages:\n  a:\n    matrix:\n      lr: [0.1, 1e-3]\n      size: ${train.layers}\n      cfg:\n      - {x: 1}\n      - [2]\n      - plain\n    cmd: x ${item.lr} ${item.size} ${key}\n    outs: ['o-${key}']\n    deps: ['in-${item.size}']\n",
        "params.yaml": PARAMS,
    },
    "matrix with special values": {
        "dvc.yaml": "stages:\n  a:\n    matrix:\n      path: [a/b, 'e:f', 'g h']\n    cmd: x ${item.path}\n"
    },
    "vars": {
        "dvc.yaml": "vars:\n- conf.json\n- conf.toml:tool\n- conf.py:Train,X\n- deep/conf.yml\n- {inline: {a: 1}, list: [1, 2]}\nstages:\n  a:\n    cmd: x ${j} ${tool.t} ${Train.lr} ${X} ${y.z} ${inline.a} ${list[1]}\n    vars:\n    - local.yaml\n    - own: 3\n    outs: ['o-${own}-${l}']\n  b:\n    cmd: x ${j}\n    wdir: deep\n    vars: [conf.yml, ../local.yaml:l]\n    outs: ['o-${l}']\n",
        "conf.json": '{"j": 1, "k": [1, 2]}',
        "conf.toml": "[tool]\nt = 2\n[other]\nt = 3\n",
        "conf.py": "X = 5\nY: int = 6\nclass Train:\n    lr = 0.5\n    def __init__(self):\n        self.depth = 3\n",
        "deep/conf.yml": "y: {z: 9}\n",
        "local.yaml": "l: 4\nm: 5\n",
    },
    "vars merge with params": {
        "dvc.yaml": "vars:\n- extra.yaml\nstages:\n  a:\n    cmd: x ${train.epochs} ${train.extra}\n",
        "params.yaml": PARAMS,
        "extra.yaml": "train: {extra: 1}\n",
    },
    "params in all forms": {
        "dvc.yaml": "stages:\n  a:\n    cmd: x\n    params:\n    - lr\n    - train.epochs\n    - params.yaml: [depth]\n    - conf.json: [a.b, c.0]\n      conf.toml:\n    - conf.py: []\n    - models\n    outs: [o]\n  b:\n    cmd: x\n    params:\n    - params.yaml:\n    - lr\n    outs: [p]\n",
        "params.yaml": PARAMS,
        "conf.json": '{"a": {"b": 1}, "c": [1]}',
        "conf.toml": "x = 1\n",
        "conf.py": "x = 1\n",
    },
    "anchors": {
        "dvc.yaml": "vars:\n- base: &base {cmd: echo, outs: [shared]}\nstages:\n  a: &a\n    cmd: x\n    deps: &d [i, j]\n    outs: [o]\n    frozen: true\n  b:\n    <<: *a\n    outs: [p]\n    deps: *d\n  c:\n    <<: [*a, {cmd: other, desc: said}]\n    outs: [q]\n    frozen: false\n"
    },
    "dict in cmd": {
        "dvc.yaml": "stages:\n  a:\n    cmd: python t.py ${train} ${flags}\n  b:\n    cmd: ${text}\n  c:\n    cmd:\n    - x ${flags}\n    - y\nvars:\n- flags: {v: true, q: false, n: {deep: 1}, s: 'a b', l: [1, 'x y'], e: ''}\n  text: whole command\n",
        "params.yaml": PARAMS,
    },
    "dict in cmd, configured": {
        "dvc.yaml": "stages:\n  a:\n    cmd: python t.py ${flags}\nvars:\n- flags: {v: true, q: false, l: [1, 'x y']}\n",
        ".dvc/config": "[parsing]\n    bool = boolean_optional\n    list = append\n",
    },
    "options of outputs": {
        "dvc.yaml": "stages:\n  a:\n    cmd: x\n    outs:\n    - plain\n    - kept: {persist: true, cache: false}\n    - far: {remote: other, push: false, desc: d, type: model, labels: [l], meta: {k: v}}\n    - two: {cache: true}\n      three: {cache: false}\n    - merged\n    - merged: {persist: true}\n    metrics:\n    - m.json: {cache: false}\n    - n.json\n",
        ".dvc/config": "['remote \"other\"']\n    url = /tmp/other\n",
    },
    "plots": {
        "dvc.yaml": "stages:\n  a:\n    cmd: x\n    plots:\n    - p.csv\n    - q.csv: {cache: false, x: a, y: b, template: linear, title: T, x_label: X, y_label: Y, header: false}\nplots:\n- p.csv\n- named: {x: a, y: {p.csv: b, q.csv: [c, d]}}\n- q.csv: null\nmetrics: [top.json]\nparams: [params.yaml]\nartifacts:\n  m: {path: plain, type: model, desc: d, labels: [a], meta: {x: 1}}\n",
        "params.yaml": PARAMS,
        "top.json": "{}",
    },
    "templated top level": {
        "dvc.yaml": "vars:\n- f: top\nstages:\n  a:\n    cmd: x\n    metrics: ['${f}.json']\nmetrics: ['${f}2.json']\nplots:\n- '${f}.csv'\nartifacts:\n  '${f}': {path: '${f}.json'}\n",
        "top.csv": "a\n1\n",
        "top2.json": "{}",
    },
    "external deps": {
        "dvc.yaml": "stages:\n  a:\n    cmd: x\n    deps: [/etc/hosts, 'https://example.com/x.csv']\n    outs: [o]\n"
    },
    "deps inside outputs": {
        "dvc.yaml": "stages:\n  a:\n    cmd: x\n    outs: [data]\n  b:\n    cmd: y\n    deps: [data/part/x.csv]\n    outs: [made/one/o]\n  c:\n    cmd: z\n    deps: [made]\n"
    },
    "paths that need cleaning": {
        "dvc.yaml": "stages:\n  a:\n    cmd: x\n    deps: [./a.py, b//c.py, d/../e.py, f/]\n    outs: [./o, p/./q]\n    params: [./lr]\n",
        "params.yaml": "./lr: 1\n/lr: 2\n",
    },
    "yaml 1.2 scalars": {
        "dvc.yaml": "vars:\n- {a: 1e-3, b: 010, c: 0o10, d: yes, e: 12:30, f: 0x1F, g: +.5, h: 1_000, i: .inf, j: ~, k: 1e400, l: 08}\nstages:\n  a:\n    cmd: ${a} ${b} ${c} ${d} ${e} ${f} ${g} ${h} ${i} ${j} ${k} ${l}\n  on:\n    cmd: y\n  1e3x:\n    cmd: z\n"
    },
    "unicode": {
        "dvc.yaml": "stages:\n  größe:\n    cmd: echo ä\n    deps: [dätä/ü.csv]\n    outs: ['日本']\n  b c:\n    cmd: spaces in names\n    outs: ['a b.txt']\n"
    },
    "ignored and sub-projects": {
        "dvc.yaml": "stages:\n  a:\n    cmd: x\n",
        ".dvcignore": "skipped\n*.tmp/\n",
        "skipped/dvc.yaml": "stages:\n  a:\n    cmd: no\n",
        "sub/.dvc/config": "",
        "sub/dvc.yaml": "stages:\n  a:\n    cmd: other project\n",
        "deep/.dvcignore": "/hidden\n",
        "deep/hidden/dvc.yaml": "stages:\n  a:\n    cmd: no\n",
        "deep/seen/dvc.yaml": "stages:\n  a:\n    cmd: yes\n",
    },
    "empty": {"dvc.yaml": "", "other/dvc.yaml": "stages: {}\n", "third/dvc.yaml": "vars: []\n"},
    "datasets are kept": {
        "dvc.yaml": "datasets:\n- {name: d, type: url, url: 'https://example.com/x'}\nstages:\n  a:\n    cmd: x\n"
    },
    "foreach with vars and params files": {
        "dvc.yaml": "stages:\n  a:\n    foreach: [us, uk]\n    do:\n      cmd: x ${v}\n      vars: ['conf/common.yaml']\n      params: [{'conf/${item}.yaml': [v]}]\n      outs: ['o-${item}']\n",
        "conf/common.yaml": "v: 1\n",
        "conf/us.yaml": "v: 1\n",
        "conf/uk.yaml": "v: 2\n",
    },
}
