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
        "dvc.yaml": """\
stages:
  a:
    cmd: echo a
    deps: [src.py, data/]
    outs: [out/a.txt]
  b:
    cmd: [echo b, echo c]
    deps:
    - out/a.txt
    outs:
    - b
""",
    },
    "callback and always changed": {
        "dvc.yaml": """\
stages:
  a:
    cmd: date
  b:
    cmd: date
    deps: [x]
    always_changed: true
  c:
    cmd: date
    outs: [c.txt]
  d:
    cmd: date
    params: [lr]
""",
        "params.yaml": PARAMS,
    },
    "frozen, desc and meta": {
        "dvc.yaml": """\
stages:
  a:
    cmd: date
    outs: [o]
    frozen: true
    desc: |
      Two
      lines
    meta: {owner: me, list: [1, {a: 2}]}
""",
    },
    "wdir": {
        "dvc.yaml": """\
stages:
  a:
    cmd: x
    wdir: sub/deep
    deps: [in.txt, ../up.txt, ../../top.txt]
    params: [lr, {../other.yaml: [a]}]
    outs: [o, ../p/q]
""",
        "sub/deep/params.yaml": "lr: 1\n",
        "sub/other.yaml": "a: 1\n",
    },
    "wdir is the parent": {
        "sub/dvc.yaml": """\
stages:
  a:
    cmd: x
    wdir: ..
    deps: [top]
    params: [lr]
    outs: [sub/o]
""",
        "params.yaml": PARAMS,
    },
    "nested files": {
        "dvc.yaml": """\
stages:
  a:
    cmd: x
    outs: [data/a]
""",
        "sub/dvc.yaml": """\
stages:
  a:
    cmd: y ${lr}
    deps: [../data/a]
    params: [lr]
    outs: [o]
""",
        "sub/params.yaml": "lr: 7\n",
        "params.yaml": PARAMS,
        "sub/deeper/dvc.yaml": """\
stages:
  z:
    cmd: run ${k}
    deps: [../o]
vars:
- ../params.yaml
- k: 1
""",
    },
    "templates": {
        "dvc.yaml": """\
stages:
  ${a}:
    cmd: literal
  a:
    cmd: train --lr ${lr} --d ${depth} --f ${flag} --on ${on} --n ${name} ${none} ${train.layers[1]} ${models.us.size}
    deps: ['${regions[0]}.csv', "in-${train.epochs}"]
    outs: ['o-${name}', '${models[uk].size}.out']
    desc: about ${name}
""",
        "params.yaml": PARAMS,
    },
    "escapes": {
        "dvc.yaml": """\
stages:
  a:
    cmd: echo \\${HOME} ${lr} $PATH $(date) \\\\${lr}
    outs: ['\\${x}']
""",
        "params.yaml": PARAMS,
    },
    "templated wdir": {
        "dvc.yaml": """\
vars:
- where: models
stages:
  a:
    cmd: x
    wdir: ${where}
    deps: [i]
    outs: [o]
  b:
    cmd: x
    wdir: data/${where}
    outs: [o]
""",
    },
    "templated params": {
        "dvc.yaml": """\
vars:
- file: conf/a.yaml
  key: train.lr
stages:
  a:
    cmd: x
    params: ['${key}', '${file}': [b.c, '${key}'], 'conf/${whole}.yaml': null]
    outs: [o]
""",
        "params.yaml": PARAMS + "whole: w\n",
        "conf/a.yaml": """\
b: {c: 1}
train: {lr: 1}
""",
        "conf/w.yaml": "x: 1\n",
    },
    "foreach list": {
        "dvc.yaml": """\
stages:
  a:
    foreach: [us, uk, 3, 1.5, true, null]
    do:
      cmd: x ${item}
      deps: ['${item}.csv']
      outs: ['o/${item}']
""",
    },
    "foreach list of dicts": {
        "dvc.yaml": """\
stages:
  a:
    foreach:
    - {n: us, v: [1, 2]}
    - {n: uk, v: [3]}
    do:
      cmd: x ${item.n} ${item.v[0]}
      outs: ['o-${item.n}']
""",
    },
    "foreach dict": {
        "dvc.yaml": """\
stages:
  a:
    foreach:
      us: {v: 1}
      uk: {v: 2}
    do:
      cmd: x ${key} ${item.v}
      outs: ['o-${key}']
      wdir: w-${key}
""",
    },
    "foreach dict of scalars": {
        "dvc.yaml": """\
stages:
  a:
    foreach: {us: 1, uk: two}
    do:
      cmd: x ${key} ${item}
      outs: ['o-${key}']
""",
    },
    "foreach from params": {
        "dvc.yaml": """\
stages:
  a:
    foreach: ${regions}
    do:
      cmd: x ${item} ${lr}
      outs: ['o-${item}']
  b:
    foreach: ${models}
    do:
      cmd: y ${key} ${item.gamma}
      deps: ['o-${key}']
      outs: ['p-${key}']
      params: ['models.${key}']
  c:
    foreach: ${grid}
    do:
      cmd: z ${item.a} ${item.b}
      frozen: true
      outs: ['q-${item.a}']
""",
        "params.yaml": PARAMS,
    },
    "matrix": {
        "dvc.yaml": """\
stages:
  a:
    matrix:
      lr: [0.1, 1e-3]
      size: ${train.layers}
      cfg:
      - {x: 1}
      - [2]
      - plain
    cmd: x ${item.lr} ${item.size} ${key}
    outs: ['o-${key}']
    deps: ['in-${item.size}']
""",
        "params.yaml": PARAMS,
    },
    "matrix with special values": {
        "dvc.yaml": """\
stages:
  a:
    matrix:
      path: [a/b, 'e:f', 'g h']
    cmd: x ${item.path}
""",
    },
    "vars": {
        "dvc.yaml": """\
vars:
- conf.json
- conf.toml:tool
- conf.py:Train,X
- deep/conf.yml
- {inline: {a: 1}, list: [1, 2]}
stages:
  a:
    cmd: x ${j} ${tool.t} ${Train.lr} ${X} ${y.z} ${inline.a} ${list[1]}
    vars:
    - local.yaml
    - own: 3
    outs: ['o-${own}-${l}']
  b:
    cmd: x ${j}
    wdir: deep
    vars: [conf.yml, ../local.yaml:l]
    outs: ['o-${l}']
""",
        "conf.json": '{"j": 1, "k": [1, 2]}',
        "conf.toml": """\
[tool]
t = 2
[other]
t = 3
""",
        "conf.py": """\
X = 5
Y: int = 6
class Train:
    lr = 0.5
    def __init__(self):
        self.depth = 3
""",
        "deep/conf.yml": "y: {z: 9}\n",
        "local.yaml": """\
l: 4
m: 5
""",
    },
    "some variables of a file with a date": {
        "dvc.yaml": """\
vars: ["conf.yaml:title", "conf.yaml:more"]
stages:
  a:
    cmd: echo ${title} ${more.x} > a
    outs: [a]
  b:
    wdir: sub
    vars: ["conf.yaml:name"]
    cmd: echo ${name} > b
    outs: [b]
  c:
    foreach: [sub, other]
    do:
      wdir: ${item}
      vars: ["here.yaml:name"]
      cmd: echo ${name} > c
      outs: [c]
""",
        "conf.yaml": "day: 2020-01-02\ntitle: hello\nmore: {x: 1}\n",
        "sub/conf.yaml": "name: one\nday: 2020-01-02\n",
        "sub/here.yaml": "name: two\nday: 2020-01-02\n",
        "other/here.yaml": "name: three\nday: 2020-01-02\n",
    },
    "vars merge with params": {
        "dvc.yaml": """\
vars:
- extra.yaml
stages:
  a:
    cmd: x ${train.epochs} ${train.extra}
""",
        "params.yaml": PARAMS,
        "extra.yaml": "train: {extra: 1}\n",
    },
    "params in all forms": {
        "dvc.yaml": """\
stages:
  a:
    cmd: x
    params:
    - lr
    - train.epochs
    - params.yaml: [depth]
    - conf.json: [a.b, c.0]
      conf.toml:
    - conf.py: []
    - models
    outs: [o]
  b:
    cmd: x
    params:
    - params.yaml:
    - lr
    outs: [p]
""",
        "params.yaml": PARAMS,
        "conf.json": '{"a": {"b": 1}, "c": [1]}',
        "conf.toml": "x = 1\n",
        "conf.py": "x = 1\n",
    },
    "anchors": {
        "dvc.yaml": """\
vars:
- base: &base {cmd: echo, outs: [shared]}
stages:
  a: &a
    cmd: x
    deps: &d [i, j]
    outs: [o]
    frozen: true
  b:
    <<: *a
    outs: [p]
    deps: *d
  c:
    <<: [*a, {cmd: other, desc: said}]
    outs: [q]
    frozen: false
""",
    },
    "dict in cmd": {
        "dvc.yaml": """\
stages:
  a:
    cmd: python t.py ${train} ${flags}
  b:
    cmd: ${text}
  c:
    cmd:
    - x ${flags}
    - y
vars:
- flags: {v: true, q: false, n: {deep: 1}, s: 'a b', l: [1, 'x y'], e: ''}
  text: whole command
""",
        "params.yaml": PARAMS,
    },
    "dict in cmd, configured": {
        "dvc.yaml": """\
stages:
  a:
    cmd: python t.py ${flags}
vars:
- flags: {v: true, q: false, l: [1, 'x y']}
""",
        ".dvc/config": """\
[parsing]
    bool = boolean_optional
    list = append
""",
    },
    "options of outputs": {
        "dvc.yaml": """\
stages:
  a:
    cmd: x
    outs:
    - plain
    - kept: {persist: true, cache: false}
    - far: {remote: other, push: false, desc: d, type: model, labels: [l], meta: {k: v}}
    - two: {cache: true}
      three: {cache: false}
    - merged
    - merged: {persist: true}
    metrics:
    - m.json: {cache: false}
    - n.json
""",
        ".dvc/config": """\
['remote "other"']
    url = /tmp/other
""",
    },
    "plots": {
        "dvc.yaml": """\
stages:
  a:
    cmd: x
    plots:
    - p.csv
    - q.csv: {cache: false, x: a, y: b, template: linear, title: T, x_label: X, y_label: Y, header: false}
plots:
- p.csv
- named: {x: a, y: {p.csv: b, q.csv: [c, d]}}
- q.csv: null
metrics: [top.json]
params: [params.yaml]
artifacts:
  m: {path: plain, type: model, desc: d, labels: [a], meta: {x: 1}}
""",
        "params.yaml": PARAMS,
        "top.json": "{}",
    },
    "templated top level": {
        "dvc.yaml": """\
vars:
- f: top
stages:
  a:
    cmd: x
    metrics: ['${f}.json']
metrics: ['${f}2.json']
plots:
- '${f}.csv'
artifacts:
  '${f}': {path: '${f}.json'}
""",
        "top.csv": """\
a
1
""",
        "top2.json": "{}",
    },
    "external deps": {
        "dvc.yaml": """\
stages:
  a:
    cmd: x
    deps: [/etc/hosts, 'https://example.com/x.csv']
    outs: [o]
""",
    },
    "deps inside outputs": {
        "dvc.yaml": """\
stages:
  a:
    cmd: x
    outs: [data]
  b:
    cmd: y
    deps: [data/part/x.csv]
    outs: [made/one/o]
  c:
    cmd: z
    deps: [made]
""",
    },
    "paths that need cleaning": {
        "dvc.yaml": """\
stages:
  a:
    cmd: x
    deps: [./a.py, b//c.py, d/../e.py, f/]
    outs: [./o, p/./q]
    params: [./lr]
""",
        "params.yaml": """\
./lr: 1
/lr: 2
""",
    },
    "yaml 1.2 scalars": {
        "dvc.yaml": """\
vars:
- {a: 1e-3, b: 010, c: 0o10, d: yes, e: 12:30, f: 0x1F, g: +.5, h: 1_000, i: .inf, j: ~, k: 1e400, l: 08}
stages:
  a:
    cmd: ${a} ${b} ${c} ${d} ${e} ${f} ${g} ${h} ${i} ${j} ${k} ${l}
  on:
    cmd: y
  1e3x:
    cmd: z
""",
    },
    "unicode": {
        "dvc.yaml": """\
stages:
  größe:
    cmd: echo ä
    deps: [dätä/ü.csv]
    outs: ['日本']
  b c:
    cmd: spaces in names
    outs: ['a b.txt']
""",
    },
    "ignored and sub-projects": {
        "dvc.yaml": """\
stages:
  a:
    cmd: x
""",
        ".dvcignore": """\
skipped
*.tmp/
""",
        "skipped/dvc.yaml": """\
stages:
  a:
    cmd: no
""",
        "sub/.dvc/config": "",
        "sub/dvc.yaml": """\
stages:
  a:
    cmd: other project
""",
        "deep/.dvcignore": "/hidden\n",
        "deep/hidden/dvc.yaml": """\
stages:
  a:
    cmd: no
""",
        "deep/seen/dvc.yaml": """\
stages:
  a:
    cmd: yes
""",
    },
    "empty": {
        "dvc.yaml": "",
        "other/dvc.yaml": "stages: {}\n",
        "third/dvc.yaml": "vars: []\n",
    },
    "datasets are kept": {
        "dvc.yaml": """\
datasets:
- {name: d, type: url, url: 'https://example.com/x'}
stages:
  a:
    cmd: x
""",
    },
    "foreach with vars and params files": {
        "dvc.yaml": """\
stages:
  a:
    foreach: [us, uk]
    do:
      cmd: x ${v}
      vars: ['conf/common.yaml']
      params: [{'conf/${item}.yaml': [v]}]
      outs: ['o-${item}']
""",
        "conf/common.yaml": "v: 1\n",
        "conf/us.yaml": "v: 1\n",
        "conf/uk.yaml": "v: 2\n",
    },
}
