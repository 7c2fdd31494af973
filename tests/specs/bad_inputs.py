"""Bad input, case by case: the files, and every finding they give, in words a newcomer can act on."""

from __future__ import annotations

from tests.specs.readings import DVC_PROJECT

Files = dict[str, str | bytes]

CASES: dict[str, tuple[Files, list[str]]] = {
    "broken": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
   deps: [y]
""",
        },
        [
            (
                "dvc.yaml:4:4: not YAML: the indentation or the punctuation breaks the mapping here (align the "
                "key with its neighbours, or close the quote or bracket above)"
            ),
        ],
    ),
    "tab": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
	a: 1
""",
        },
        [
            (
                "dvc.yaml:2:1: not YAML: a tab or a reserved character stands where a value starts (indent with "
                "spaces; quote values that start with @, ` or %)"
            ),
        ],
    ),
    "dup": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    cmd: y
  a:
    cmd: z
""",
        },
        [
            "dvc.yaml:4:5: the key `cmd` stands here twice (remove or rename one of them)",
            "dvc.yaml:5:3: the key `a` stands here twice (remove or rename one of them)",
        ],
    ),
    "unknown key": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    dep: [y]
    out: [z]
""",
        },
        [
            "dvc.yaml:4:5: unknown key `dep` in `a` (did you mean `deps`?)",
            "dvc.yaml:5:5: unknown key `out` in `a` (did you mean `outs`?)",
        ],
    ),
    "fields of the runner outside meta": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    timeout: 2h
  b:
    foreach: [1]
    do:
      cmd: x
      env: {A: 1}
  c: echo
""",
        },
        [
            (
                "dvc.yaml:4:5: unknown key `timeout` in `a` (in a dvc.yaml it stands below `meta`: "
                "`meta: {runner: {timeout: ...}}`)"
            ),
            (
                "dvc.yaml:9:7: unknown key `env` in `do` (in a dvc.yaml it stands below `meta`: "
                "`meta: {runner: {env: ...}}`)"
            ),
            (
                "dvc.yaml:10:3: `c` must be a mapping, not the text `echo` (A stage, or a template that makes one "
                "stage for each item (`foreach`) or combination (`matrix`))"
            ),
        ],
    ),
    "no time at all": (
        {
            "runner.yaml": """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    a: {cmd: x, timeout: 0}
    b: {cmd: x, timeout: 0s}
""",
        },
        [
            "runner.yaml:6:17: `timeout` must be more than 0, not 0 (Longest time one try may take; for example: 2h)",
            "runner.yaml:7:17: `timeout: 0s` is not a duration above zero, such as `2h`",
        ],
    ),
    "no cmd": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    deps: [y]
""",
        },
        [
            (
                "dvc.yaml:2:3: the key `cmd` is missing in `a` (What is run, by the shell, in `wdir`; for "
                "example: python src/train.py)"
            ),
        ],
    ),
    "types": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: 3
    deps: y
    outs: [1]
    frozen: yes
    params: [2]
""",
        },
        [
            (
                "dvc.yaml:3:5: `cmd` must be text or a list, not the number 3 (What is run, by the shell, in "
                "`wdir`; for example: python src/train.py)"
            ),
            "dvc.yaml:4:5: `deps` must be a list, not the text `y` (Files and folders the commands read)",
            (
                "dvc.yaml:5:12: item 1 of `outs` must be text or a mapping, not the number 1 "
                "(A path, or `{path: options}`)"
            ),
            "dvc.yaml:6:5: `frozen` must be true or false, not the text `yes` (true: never run again)",
            "dvc.yaml:7:14: item 1 of `params` must be text or a mapping, not the number 2",
        ],
    ),
    "stages null": (
        {
            **DVC_PROJECT,
            "dvc.yaml": "stages:\n",
        },
        [
            "dvc.yaml:1:1: `stages` must be a mapping, not nothing (Stages by name)",
        ],
    ),
    "stages list": (
        {
            **DVC_PROJECT,
            "dvc.yaml": "stages: [a]\n",
        },
        [
            "dvc.yaml:1:1: `stages` must be a mapping, not a list (Stages by name)",
        ],
    ),
    "top list": (
        {
            **DVC_PROJECT,
            "dvc.yaml": "- a\n",
        },
        [
            "dvc.yaml:1:1: the document must be a mapping, not a list (A pipeline of DVC, adopted as it is)",
        ],
    ),
    "foreach missing do": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    foreach: [1]
    cmd: x
""",
        },
        [
            "dvc.yaml:2:3: the key `do` is missing in `a`",
            "dvc.yaml:4:5: unknown key `cmd` in `a` (allowed here: foreach, do)",
        ],
    ),
    "cycle": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    deps: [c]
    outs: [a]
  b:
    cmd: x
    deps: [a]
    outs: [b]
  c:
    cmd: x
    deps: [b]
    outs: [c]
  d:
    cmd: x
    deps: [c]
""",
        },
        [
            (
                "dvc.yaml:2:3: the stages wait for each other: dvc.yaml:a → dvc.yaml:c → dvc.yaml:b → "
                "dvc.yaml:a (remove one of these dependencies)"
            ),
        ],
    ),
    "self": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    deps: [o/x]
    outs: [o]
""",
        },
        [
            (
                "dvc.yaml:4:5: the stage reads `o/x`, which it writes itself (`o`) (remove the dependency; an "
                "output that is kept between runs says `persist: true`)"
            ),
        ],
    ),
    "dup outs": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    outs: [o]
  b:
    cmd: x
    outs:
    - p
    - ./o
""",
        },
        [
            "dvc.yaml:9:7: the output `o` is also made by dvc.yaml:a (give each stage outputs of its own)",
        ],
    ),
    "nested outs": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    outs: [o]
  b:
    cmd: x
    outs:
    - o/x
""",
        },
        [
            (
                "dvc.yaml:8:7: the output `o/x` lies inside `o`, an output of dvc.yaml:a (keep outputs apart, "
                "or name the folder alone)"
            ),
        ],
    ),
    "missing dep": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    deps:
    - src/tran.py
    - data/x.csv
""",
            "src/train.py": "",
        },
        [
            (
                "dvc.yaml:5:7: `src/tran.py` is neither in git, nor tracked by DVC, nor made by a stage (did "
                "you mean `src/train.py`?)"
            ),
            (
                "dvc.yaml:6:7: `data/x.csv` is neither in git, nor tracked by DVC, nor made by a stage (commit "
                "it, run `dvc add`, or declare it as an output)"
            ),
        ],
    ),
    "unknown var": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x ${train.lrr}
  b:
    cmd: x ${zzz}
    foreach: [1]
""",
            "params.yaml": "train: {lr: 1}\n",
        },
        [
            "dvc.yaml:3:5: unknown variable ${train.lrr} (did you mean ${train.lr}?)",
            "dvc.yaml:4:3: the key `do` is missing in `b`",
            "dvc.yaml:5:5: unknown key `cmd` in `b` (allowed here: foreach, do)",
        ],
    ),
    "unknown var2": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x ${train.lrr}
  b:
    foreach: ${nope}
    do:
      cmd: x
  c:
    foreach: [1, 2]
    do:
      cmd: x ${item.k}
  d:
    foreach: {a: 1}
    do:
      cmd: x ${itm}
      deps: ['${unk}']
""",
            "params.yaml": "train: {lr: 1}\n",
        },
        [
            "dvc.yaml:3:5: unknown variable ${train.lrr} (did you mean ${train.lr}?)",
            "dvc.yaml:5:5: unknown variable ${nope} (it is in none of: params.yaml)",
            "dvc.yaml:11:7: unknown variable ${item.k} (it is in none of: params.yaml)",
            "dvc.yaml:15:7: unknown variable ${itm} (it is in none of: params.yaml)",
        ],
    ),
    "variables of a shell": (
        {
            **DVC_PROJECT,
            "dvc.yaml": "stages:\n  a:\n    cmd: x ${TOK:0:12}\n  b:\n    cmd: x ${HOME}\n",
        },
        [
            "dvc.yaml:3:5: unknown variable ${TOK:0:12} (`\\${TOK:0:12}` leaves it to the shell)",
            "dvc.yaml:5:5: unknown variable ${HOME} (`\\${HOME}` leaves it to the shell)",
        ],
    ),
    "unknown var no params": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x ${lr}
""",
        },
        [
            "dvc.yaml:3:5: unknown variable ${lr} (there is no params.yaml beside the file and no `vars`)",
        ],
    ),
    "malformed": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x ${lr
  b:
    cmd: x ${lr..a}
  c:
    cmd: ${}
""",
            "params.yaml": "lr: 1\n",
        },
        [
            "dvc.yaml:5:5: the template ${lr..a} is malformed (write ${name}, ${group.name} or ${list[0]})",
            "dvc.yaml:7:5: the template ${} is malformed (write ${name}, ${group.name} or ${list[0]})",
        ],
    ),
    "foreach scalar": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
vars:
- n: 3
stages:
  a:
    foreach: ${n}
    do:
      cmd: x
""",
        },
        [
            "dvc.yaml:5:5: `foreach` stands for a number (`foreach` takes a list or a mapping)",
        ],
    ),
    "vars": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
vars:
- nope.yaml
stages:
  a:
    cmd: x
""",
        },
        [
            "dvc.yaml:1:1: 'nope.yaml' does not exist (commit the file, or remove it from `vars`)",
        ],
    ),
    "vars redefine": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
vars:
- lr: 3
stages:
  a:
    cmd: x
""",
            "params.yaml": "lr: 1\n",
        },
        [
            (
                "dvc.yaml:1:1: cannot redefine 'lr' from 'vars[0]' as it already exists in 'params.yaml' (give "
                "the two values different names)"
            ),
        ],
    ),
    "stage vars redefine": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    vars:
    - lr: 3
""",
            "params.yaml": "lr: 1\n",
        },
        [
            (
                "dvc.yaml:4:5: cannot redefine 'lr' from 'a.vars[0]' as it already exists in 'params.yaml' "
                "(give the two values different names)"
            ),
        ],
    ),
    "interp list": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    deps: ['${l}']
""",
            "params.yaml": "l: [1]\n",
        },
        [
            (
                "dvc.yaml:4:5: a list cannot stand inside text (name a single value inside it, as in ${list[0]} "
                "or ${mapping.key})"
            ),
        ],
    ),
    "matrix bomb": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    matrix: {a: '${l}', b: '${l}', c: '${l}', d: '${l}', e: '${l}', f: '${l}'}
    cmd: x
""",
            "params.yaml": f"l: {list(range(100))}\n",
        },
        [
            "dvc.yaml:2:3: the group `a` makes 1,000,000,000,000 stages, more than 100,000 (iterate over less)",
        ],
    ),
    "matrix scalar": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    matrix: {a: '${l}'}
    cmd: x
""",
            "params.yaml": "l: 3\n",
        },
        [
            (
                "dvc.yaml:3:14: the axis `a` stands for a number, not for a list (an axis of a matrix takes a "
                "list of values)"
            ),
        ],
    ),
    "broken params": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x ${l}
""",
            "params.yaml": "l: [1\n",
        },
        [
            "params.yaml:2:1: not YAML: a list in brackets is not closed (add `]` or the missing comma)",
        ],
    ),
    "a date among selected variables": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
vars: ["conf.yaml:title,dates"]
stages:
  a:
    cmd: x ${title}
""",
            "conf.yaml": "title: hello\nother: 2020-01-01\ndates:\n  list:\n    - 1\n    - 2020-01-02\n",
        },
        [
            "conf.yaml:6:7: `dates.list` is a date, which templates cannot hold (put it in quotes)",
        ],
    ),
    "a date in a variable that is no YAML": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
vars: ["conf.toml"]
stages:
  a:
    cmd: x ${title}
""",
            "conf.toml": 'title = "hello"\nday = 2020-01-02\n',
        },
        [
            "conf.toml: `day` is a date, which templates cannot hold (put it in quotes)",
        ],
    ),
    "date params": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x ${l}
""",
            "params.yaml": "l: 2024-01-01\n",
        },
        [
            "params.yaml:1:1: `l` is a date, which templates cannot hold (put it in quotes)",
        ],
    ),
    "outside": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    wdir: ../x
    deps: [../../y]
    outs: [../z, /abs, s3://b/k, ., x.dvc]
    metrics: [dvc.yaml]
""",
        },
        [
            "dvc.yaml:4:5: the working folder `../x` leaves the repository (name a folder inside it)",
            (
                "dvc.yaml:5:12: the dependency `../../y` leaves the repository (use a path inside it, or an "
                "absolute one for data of the host)"
            ),
            (
                "dvc.yaml:6:12: the output `../z` leaves the repository (use a path inside it, or an absolute "
                "one for data of the host)"
            ),
            "dvc.yaml:6:18: the output `/abs` is outside the repository (write it inside the repository)",
            "dvc.yaml:6:24: the output `s3://b/k` is outside the repository (write it inside the repository)",
            "dvc.yaml:6:34: the output `.` is not inside the DVC project (write it to a path of its own)",
            "dvc.yaml:6:37: `x.dvc` belongs to DVC and cannot be an output (choose another name)",
            "dvc.yaml:7:15: `dvc.yaml` belongs to DVC and cannot be an output (choose another name)",
        ],
    ),
    "meta": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    meta:
      runner:
        timout: 3h
        resources: {cpus: 2, memory: lots}
        timeout: 3 years
""",
        },
        [
            "dvc.yaml:6:9: unknown key `timout` in `runner` (did you mean `timeout`?)",
            "dvc.yaml:7:21: unknown key `cpus` in `resources` (did you mean `cpu`?)",
            "dvc.yaml:7:30: `memory` cannot be `lots` (Bytes, or with a unit; for example: 4Gi)",
            "dvc.yaml:8:9: `timeout` cannot be `3 years` (Longest time one try may take; for example: 2h)",
        ],
    ),
    "name": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a@b:
    cmd: x
  '':
    cmd: y
""",
        },
        [
            "dvc.yaml:2:3: `a@b` is not a name that can stand here (use letters, digits, hyphens and underscores)",
            "dvc.yaml:4:3: `` is not a name that can stand here (use letters, digits, hyphens and underscores)",
        ],
    ),
    "git tracked out": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    outs: [o, p]
    metrics: [{m.json: {cache: false}}]
""",
            "o": "1",
            "p/x": "1",
            "m.json": "{}",
        },
        [
            "dvc.yaml:4:12: the output `o` is tracked by git (git rm -r --cached 'o', or say `cache: false`)",
            "dvc.yaml:4:15: the output `p` is tracked by git (git rm -r --cached 'p', or say `cache: false`)",
        ],
    ),
    "dvc tracked out": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    outs: [data/o, q]
""",
            "data.dvc": """\
outs:
- md5: d8e8fca2dc0f896fd7cb4cb0031ba249.dir
  path: data
""",
            "q/z.dvc": """\
outs:
- md5: d8e8fca2dc0f896fd7cb4cb0031ba249
  path: z
""",
        },
        [
            (
                "dvc.yaml:4:12: the output `data/o` is data that `data.dvc` tracks (remove `data.dvc` (dvc "
                "remove), or choose another output)"
            ),
            (
                "dvc.yaml:4:20: the output `q` is data that `q/z.dvc` tracks (remove `q/z.dvc` (dvc remove), or "
                "choose another output)"
            ),
            "dvc.yaml:4:20: the output `q` is tracked by git (git rm -r --cached 'q', or say `cache: false`)",
        ],
    ),
    "lock conflict": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    outs: [o]
""",
            "dvc.lock": """\
schema: '2.0'
stages:
<<<<<<< HEAD
  a:
    cmd: x
=======
  a:
    cmd: y
>>>>>>> other
""",
        },
        [
            "dvc.lock:3:1: the file holds merge-conflict markers (resolve the conflict and commit again)",
        ],
    ),
    "lock broken": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    outs: [o]
""",
            "dvc.lock": """\
schema: '3.0'
stages: {}
""",
        },
        [
            (
                "dvc.lock: the lock file has the unknown version `3.0` (restore it from git, or delete it: it "
                "is written again)"
            ),
        ],
    ),
    "lock alias": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    outs: [o]
""",
            "dvc.lock": """\
schema: '2.0'
stages:
  a: &a
    cmd: x
  b: *a
""",
        },
        [
            "dvc.lock:5:6: the alias *a is not allowed in this file (write the value out)",
        ],
    ),
    "dvc broken": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    outs: [o]
""",
            "d.dvc": "outs: [{path: d, md5: zz}]\n",
            "e.dvc": "nothing: 1\n",
            "f.dvc": """\
outs:
- md5: d8e8fca2dc0f896fd7cb4cb0031ba249
  path: ../f
""",
        },
        [
            "d.dvc:1:8: `zz` is not an md5 (run `dvc add` again)",
            "e.dvc: the .dvc file names no `outs` (run `dvc add` again)",
            "f.dvc:2:3: the path `../f` leaves the repository (track data inside the repository)",
        ],
    ),
    "missing param": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    params: [lrr, other.yaml: [a]]
""",
            "params.yaml": "lr: 1\n",
        },
        [
            "dvc.yaml:4:14: the parameter `lrr` is not in `params.yaml` (did you mean `lr`?)",
            (
                "dvc.yaml:4:19: `other.yaml` is neither in git, nor tracked by DVC, nor made by a stage (commit "
                "it, run `dvc add`, or declare it as an output)"
            ),
        ],
    ),
    "runner dir": (
        {
            **DVC_PROJECT,
            "dvc.yaml": "stages: {}\n",
            ".runner/x": "1",
        },
        [
            (
                ".runner/: the folder `.runner/` belongs to the runner (remove it from the branch: the runner "
                "keeps this folder on its own branch)"
            ),
        ],
    ),
    "kind": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: pipelin
metadata: {name: p}
spec: {}
""",
        },
        [
            "runner.yaml:2:1: unknown kind `pipelin` (did you mean `Pipeline`?)",
        ],
    ),
    "api": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v2
kind: Pipeline
metadata: {name: p}
spec: {}
""",
        },
        [
            "runner.yaml:1:1: unknown apiVersion `runner/v2` (this runner reads `runner/v1`)",
        ],
    ),
    "not runner": (
        {
            **DVC_PROJECT,
            "runner.yaml": "stages: {}\n",
        },
        [
            "runner.yaml:1:1: the key `apiVersion` is missing (start with `apiVersion: runner/v1`)",
        ],
    ),
    "missing": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Pipeline
""",
        },
        [
            "runner.yaml:1:1: the key `metadata` is missing at the top (What the document is called)",
            "runner.yaml:1:1: the key `spec` is missing at the top (What is run)",
        ],
    ),
    "globs": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Project
spec: {specs: [dvc.yml, nope/*.yaml, /abs, ../x]}
---
apiVersion: runner/v1
kind: Project
""",
            "dvc.yaml": "stages: {}\n",
        },
        [
            "runner.yaml:3:16: `dvc.yml` names no file of this commit (did you mean `dvc.yaml`?)",
            "runner.yaml:3:25: `nope/*.yaml` names no file of this commit (did you mean `runner.yaml`?)",
            "runner.yaml:3:38: `/abs` leaves the repository (use a path or glob inside it)",
            "runner.yaml:3:44: `../x` leaves the repository (use a path or glob inside it)",
            "runner.yaml:6:1: a second Project; the first is in runner.yaml:1 (keep one Project a repository)",
        ],
    ),
    "pipeline fields": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    a:
      cmd: x
      timeout: 2 hours
      resources: {cpu: 0, memory: 4Gb, disk: 1}
      retries: -1
      env: {'A B': 1, C: [1]}
      secrets: ['x y']
      seed: x
      environment: {python: 3.12}
    a.b:
      cmd: x
    c:
      deps: [x]
    d: {cmd: x, uses: split}
    e: {cmd: x, with: {a: 1}}
    f:
      uses: splitt
      outs: [o]
    g:
      uses: split
      with: {data: in, parts: [0.8, x], startify: y}
      outs: [o1, o2]
    h:
      foreach: [2, 0.5]
      do:
        uses: split
        with: {data: in, parts: ["${item}"]}
        outs: ["o${item}"]
    i:
      uses: split
      with: {data: in}
""",
        },
        [
            "runner.yaml:8:7: `timeout` cannot be `2 hours` (Longest time one try may take; for example: 2h)",
            "runner.yaml:9:19: `cpu` must be more than 0, not 0 (Cores; for example: 2)",
            "runner.yaml:9:27: `memory` cannot be `4Gb` (Bytes, or with a unit; for example: 4Gi)",
            "runner.yaml:9:40: unknown key `disk` in `resources` (allowed here: cpu, memory)",
            "runner.yaml:10:7: `retries` must be at least 0, not -1 (How many times a failed run is tried again)",
            (
                "runner.yaml:11:13: `A B` is not a name that can stand here (a variable's name: letters, digits "
                "and underscores)"
            ),
            "runner.yaml:11:23: `C` must be text, a number or true or false, not a list",
            (
                "runner.yaml:12:17: item 1 of `secrets` cannot be `x y` "
                "(A name of letters, digits and underscores; for example: DB_PASSWORD)"
            ),
            (
                "runner.yaml:13:7: `seed` must be a whole number, not the text `x` (Seed of random numbers, given as "
                "RUNNER_SEED and PYTHONHASHSEED)"
            ),
            (
                "runner.yaml:14:7: the key `lock` is missing in `environment` (A requirements file with pinned "
                "versions, in the repository; for example: requirements.lock)"
            ),
            (
                "runner.yaml:15:5: `a.b` is not a name that can stand here (use letters, digits, hyphens and "
                "underscores)"
            ),
            "runner.yaml:17:5: `c` needs one of: `cmd`, `uses` (A command with what it reads and what it writes)",
            "runner.yaml:19:17: a stage has either `cmd` or `uses` (remove one of them)",
            "runner.yaml:20:17: `with` means nothing without `uses` (name a stage of the library in `uses`)",
            "runner.yaml:22:7: `splitt` is no stage of the library (did you mean `split`?)",
            "runner.yaml:26:37: item 2 of `parts` must be a number, not the text `x` (A fraction of the rows)",
            "runner.yaml:26:41: unknown key `startify` in `with` (did you mean `stratify`?)",
            "runner.yaml:32:26: the parts add up to 0.5, not to 1 (give each row to one part)",
            "runner.yaml:32:34: item 1 of `parts` must be at most 1, not 2 (A fraction of the rows)",
            (
                "runner.yaml:34:5: `split` writes at least 1 of `outs`, and 0 are named "
                "(`runner stage split --help` says which)"
            ),
            (
                "runner.yaml:36:7: the key `parts` is missing in `with` (How much of the rows each output gets, as "
                "fractions that add up to 1)"
            ),
        ],
    ),
    "dups": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages: {a: {cmd: x}}
---
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages: {a: {cmd: x}}
""",
        },
        [
            "runner.yaml:9:12: a second Pipeline named `p`; the first is in runner.yaml:1 (rename one of them)",
        ],
    ),
    "deploy": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Deployment
metadata: {name: d}
spec:
  model: {pipeline: p}
  gates:
  - {metrics: m.json:x, min: 1}
  - {metric: m.json:x, min: high}
""",
        },
        [
            "runner.yaml:5:3: the key `out` is missing in `model` (Path of the model)",
            (
                "runner.yaml:7:5: item 1 of `gates` needs one of: `metric`, `fairness`, `robustness`, `skew` (A "
                "condition on recorded metrics, or on evidence, that must hold before a release)"
            ),
            "runner.yaml:7:6: unknown key `metrics` in `gates` (did you mean `metric`?)",
            "runner.yaml:8:24: `min` must be a number, not the text `high` (Smallest value that passes)",
        ],
    ),
    "bomb": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
a: &a [1,1,1,1,1,1,1,1,1]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]
f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]
g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]
h: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]
i: &i [*h,*h,*h,*h,*h,*h,*h,*h,*h]
""",
        },
        [
            "runner.yaml:6:8: more than 100000 values once aliases are expanded (use fewer aliases)",
        ],
    ),
    "stage name number": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  1: {cmd: x}
  b: {cmd: y}
""",
        },
        [
            "dvc.yaml:2:3: the stage name `1` is not text (put it in quotes)",
        ],
    ),
    "generated at": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    foreach: [x@y]
    do: {cmd: x}
""",
        },
        [
            (
                "dvc.yaml:2:3: the generated name `a@x@y` holds a second `@`, which DVC cannot address (use "
                "items without `@`)"
            ),
        ],
    ),
    "generated same out": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    foreach: [x, y]
    do:
      cmd: x
      outs: [same]
""",
        },
        [
            "dvc.yaml:2:3: the output `same` is also made by dvc.yaml:a@x (give each stage outputs of its own)",
        ],
    ),
    "depends on itself by the root": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: x
    deps: [.]
    outs: [o]
""",
        },
        [
            (
                "dvc.yaml:4:5: the stage reads `.`, which it writes itself (`o`) (remove the dependency; an "
                "output that is kept between runs says `persist: true`)"
            ),
        ],
    ),
    "vars escape": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
vars:
- ../../x.yaml
stages: {}
""",
        },
        [
            "dvc.yaml:1:1: '../../x.yaml' does not exist (commit the file, or remove it from `vars`)",
        ],
    ),
    "two documents": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages: {}
---
stages: {}
""",
        },
        [
            "dvc.yaml:3:1: a second YAML document starts here (keep one document in a dvc.yaml)",
        ],
    ),
    "not utf-8": (
        {
            **DVC_PROJECT,
            "dvc.yaml": b"stages:\n  a: {cmd: '\xff'}\n",
        },
        [
            "dvc.yaml:2:13: the text is not UTF-8 (save the file as UTF-8)",
        ],
    ),
    "whole bad cmd": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a:
    cmd: ''
  b:
    cmd: []
  c:
    cmd: [x, ' ']
""",
        },
        [
            (
                "dvc.yaml:3:5: `cmd` must not be empty (What is run, by the shell, in `wdir`; for example: "
                "python src/train.py)"
            ),
            (
                "dvc.yaml:5:5: `cmd` must not be empty (What is run, by the shell, in `wdir`; for example: "
                "python src/train.py)"
            ),
            "dvc.yaml:7:5: a command is empty or is not text (write a command for the shell)",
        ],
    ),
    "two cycles": (
        {
            **DVC_PROJECT,
            "dvc.yaml": """\
stages:
  a: {cmd: x, deps: [b], outs: [a]}
  b: {cmd: x, deps: [a], outs: [b]}
  c: {cmd: x, deps: [d], outs: [c]}
  d: {cmd: x, deps: [c], outs: [d]}
  e: {cmd: x, deps: [a, c]}
""",
        },
        [
            (
                "dvc.yaml:2:3: the stages wait for each other: dvc.yaml:a → dvc.yaml:b → dvc.yaml:a (remove one "
                "of these dependencies)"
            ),
            (
                "dvc.yaml:4:3: the stages wait for each other: dvc.yaml:c → dvc.yaml:d → dvc.yaml:c (remove one "
                "of these dependencies)"
            ),
        ],
    ),
    "refs": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages: {a: {cmd: x, outs: [models/m]}}
---
apiVersion: runner/v1
kind: Deployment
metadata: {name: d}
spec:
  model: {pipeline: q, out: m}
---
apiVersion: runner/v1
kind: Deployment
metadata: {name: e}
spec:
  model: {pipeline: p, out: models/n}
---
apiVersion: runner/v1
kind: Monitor
metadata: {name: m}
spec: {deployment: dd}
""",
        },
        [
            "runner.yaml:11:11: there is no pipeline `q` (there is: p)",
            "runner.yaml:17:24: there is no output `models/n` (did you mean `models/m`?)",
            "runner.yaml:22:8: there is no deployment `dd` (did you mean `d`?)",
        ],
    ),
    "resolved values": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  vars: [{n: many, e: [1]}]
  stages:
    a:
      cmd: x
      resources: {cpu: '${n}', memory: '${n}'}
      timeout: ${n}
      retries: ${n}
      seed: ${n}
""",
        },
        [
            "runner.yaml:9:7: `resources.cpu: many` is not a number of cores",
            "runner.yaml:9:7: `resources.memory: many` is not an amount of memory such as `4Gi`",
            "runner.yaml:10:7: `timeout: many` is not a duration above zero, such as `2h`",
            "runner.yaml:11:7: `retries: many` is not a whole number",
            "runner.yaml:12:7: `seed: many` is not a whole number",
        ],
    ),
    "wrong lock": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    a:
      cmd: x
      environment: {lock: ../x}
    b:
      cmd: x
      env: {A: 1}
      secrets: [A]
    c:
      cmd: x
      environment: {lock: nope.txt}
""",
        },
        [
            ("runner.yaml:8:7: `environment.lock: ../x` is not the path of a requirements file inside the repository"),
            "runner.yaml:12:7: `A` stands in both `env` and `secrets` (keep one of them)",
            "runner.yaml:13:5: the lock file `nope.txt` is not in git (commit it)",
        ],
    ),
    "dvc root": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Project
spec: {dvcRoot: nope}
""",
        },
        [
            "runner.yaml:3:8: `nope` holds no DVC project (there is one in: .)",
        ],
    ),
    "several dvc": (
        {
            "a/.dvc/config": "",
            "b/.dvc/config": "",
            "b/dvc.yaml": "stages: {}\n",
        },
        [
            (
                "runner.yaml: several DVC projects and none at the root: a, b (choose one: a Project with "
                "`spec: {dvcRoot: a}`)"
            ),
        ],
    ),
    "name in project": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Project
metadata: {name: 'a b'}
spec: {specs: ['*.yaml'], trust: {dvcLock: maybe}, record: {every: soon}}
""",
        },
        [
            (
                "runner.yaml:3:12: `name` cannot be `a b` (Name of the Project, unique among documents of its "
                "kind; for example: churn)"
            ),
            (
                "runner.yaml:4:35: `dvcLock` must be one of accept, ignore, not `maybe` (Whether a committed "
                "dvc.lock counts as evidence that a stage ran)"
            ),
            (
                "runner.yaml:4:61: `every` cannot be `soon` (Longest time between two publications of results; "
                "for example: 60s)"
            ),
        ],
    ),
    "yaml dvc explicit": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Project
spec: {specs: [sub/dvc.yaml, conf]}
""",
            "sub/dvc.yaml": "stages: {}\n",
            "sub/.dvc/config": "",
            "conf/x.yaml": "a: 1\n",
        },
        [
            "conf/x.yaml:1:1: the key `apiVersion` is missing (start with `apiVersion: runner/v1`)",
            (
                "runner.yaml:3:8: `sub/dvc.yaml` cannot be adopted: it belongs to another DVC project (remove "
                "it from `specs`)"
            ),
        ],
    ),
    "published every 0s": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec:\n  record: {every: 0s}\n"},
        [
            (
                "runner.yaml:4:12: `every: 0s` is not a time between two publications (write a duration above ze"
                "ro, such as `60s`, or a number of seconds)"
            ),
        ],
    ),
    "published every 0": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec:\n  record: {every: 0}\n"},
        [
            (
                "runner.yaml:4:12: `every` must be more than 0, not 0 (Longest time between two publications of "
                "results; for example: 60s)"
            ),
        ],
    ),
    "published every -5s": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec:\n  record: {every: -5s}\n"},
        [
            (
                "runner.yaml:4:12: `every` cannot be `-5s` (Longest time between two publications of results; fo"
                "r example: 60s)"
            ),
        ],
    ),
    "published every 0.0h": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec:\n  record: {every: 0.0h}\n"},
        [
            (
                "runner.yaml:4:12: `every: 0.0h` is not a time between two publications (write a duration above "
                "zero, such as `60s`, or a number of seconds)"
            ),
        ],
    ),
    "published every soon": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec:\n  record: {every: soon}\n"},
        [
            (
                "runner.yaml:4:12: `every` cannot be `soon` (Longest time between two publications of results; f"
                "or example: 60s)"
            ),
        ],
    ),
    "published every 9999999": (
        {
            **DVC_PROJECT,
            "runner.yaml": f"apiVersion: runner/v1\nkind: Project\nspec:\n  record: {{every: {'9' * 400}w}}\n",
        },
        [
            (
                "runner.yaml:4:12: `every: 999999999999999999999999999999999999999999999999999999999999` is not "
                "a time between two publications (write a duration above zero, such as `60s`, or a number of sec"
                "onds)"
            ),
        ],
    ),
    "the shell bash -e": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec:\n  shell: bash -e\n"},
        [
            (
                "runner.yaml:4:3: the shell `bash -e` is neither a name nor an absolute path (name one program, "
                "such as `bash` or `/bin/sh`, without arguments)"
            ),
        ],
    ),
    "the shell ./sh": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec:\n  shell: ./sh\n"},
        [
            (
                "runner.yaml:4:3: the shell `./sh` is neither a name nor an absolute path (name one program, suc"
                "h as `bash` or `/bin/sh`, without arguments)"
            ),
        ],
    ),
    "the shell bin/sh": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec:\n  shell: bin/sh\n"},
        [
            (
                "runner.yaml:4:3: the shell `bin/sh` is neither a name nor an absolute path (name one program, s"
                "uch as `bash` or `/bin/sh`, without arguments)"
            ),
        ],
    ),
    "the shell ' '": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec:\n  shell: ' '\n"},
        [
            (
                "runner.yaml:4:3: the shell ` ` is neither a name nor an absolute path (name one program, such a"
                "s `bash` or `/bin/sh`, without arguments)"
            ),
        ],
    ),
    "the shell '-c'": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec:\n  shell: '-c'\n"},
        [
            (
                "runner.yaml:4:3: the shell `-c` is neither a name nor an absolute path (name one program, such "
                "as `bash` or `/bin/sh`, without arguments)"
            ),
        ],
    ),
    "the shell /bin/nsh": (
        {**DVC_PROJECT, "runner.yaml": 'apiVersion: runner/v1\nkind: Project\nspec:\n  shell: "/bin/\\nsh"\n'},
        [
            (
                "runner.yaml:4:3: the shell `/bin/\nsh` is neither a name nor an absolute path (name one program,"
                " such as `bash` or `/bin/sh`, without arguments)"
            ),
        ],
    ),
    "the shell /": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec:\n  shell: /\n"},
        [
            (
                "runner.yaml:4:3: the shell `/` is neither a name nor an absolute path (name one program, such a"
                "s `bash` or `/bin/sh`, without arguments)"
            ),
        ],
    ),
    "documents that hold nothing": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
---
---
apiVersion: runner/v1
kind: Project
---
# nothing
---
- a
- b
---
text
---
""",
        },
        [
            "runner.yaml:2:1: this document is empty (write a document, or remove one of the `---` lines)",
            "runner.yaml:7:1: this document is empty (write a document, or remove one of the `---` lines)",
            "runner.yaml:8:1: this is not a runner document (start with `apiVersion: runner/v1` and `kind:`)",
            ("runner.yaml:11:1: this is not a runner document (start with `apiVersion: runner/v1` and `kind:`)"),
            "runner.yaml:13:1: this document is empty (write a document, or remove one of the `---` lines)",
        ],
    ),
    "a document without a name": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Pipeline
metadata: {}
spec: {stages: {}}
---
apiVersion: runner/v1
kind: Pipeline
metadata: {nmae: p}
spec: {stages: {}}
---
apiVersion: runner/v1
kind: Pipelines
metadata: {name: p}
spec: {stages: {}}
---
apiVersion: [runner/v1]
kind: [Pipeline]
---
apiVersion: runner/v1
kind: [Pipeline]
""",
        },
        [
            (
                "runner.yaml:3:1: the key `name` is missing in `metadata` (Name of the Pipeline, unique among do"
                "cuments of its kind; for example: churn)"
            ),
            (
                "runner.yaml:8:1: the key `name` is missing in `metadata` (Name of the Pipeline, unique among do"
                "cuments of its kind; for example: churn)"
            ),
            "runner.yaml:8:12: unknown key `nmae` in `metadata` (did you mean `name`?)",
            "runner.yaml:12:1: unknown kind `Pipelines` (did you mean `Pipeline`?)",
            "runner.yaml:16:1: unknown apiVersion `['runner/v1']` (this runner reads `runner/v1`)",
            "runner.yaml:20:1: unknown kind `['Pipeline']` (did you mean `Pipeline`?)",
        ],
    ),
    "globs that are none": (
        {
            **DVC_PROJECT,
            "runner.yaml": """\
apiVersion: runner/v1
kind: Project
spec: {specs: ['', ' ', 3, 'empty/', '~/x', 'a/../../b', './', 'runner.yaml']}
""",
            "empty/x.txt": "",
        },
        [
            "runner.yaml:3:16: item 1 of `specs` must not be empty (A path, a folder or a glob)",
            "runner.yaml:3:20: ` ` names no file of this commit (is the file committed?)",
            "runner.yaml:3:25: item 3 of `specs` must be text, not the number 3 (A path, a folder or a glob)",
            "runner.yaml:3:28: `empty/` names no file of this commit (is the file committed?)",
            "runner.yaml:3:38: `~/x` leaves the repository (use a path or glob inside it)",
            "runner.yaml:3:45: `a/../../b` leaves the repository (use a path or glob inside it)",
        ],
    ),
    "a Project in another file": (
        {
            **DVC_PROJECT,
            "pipelines/p.yaml": """\
apiVersion: runner/v1
kind: Project
""",
        },
        [
            "pipelines/p.yaml:2:1: a Project outside `runner.yaml` is not read (move it to `runner.yaml`)",
        ],
    ),
    "a runner.yaml that is a folder": (
        {**DVC_PROJECT, "runner.yaml/runner.yaml": "apiVersion: runner/v1\nkind: Project\n"},
        [
            (
                "runner.yaml: `runner.yaml` is a folder, not a file (rename the folder: specs lie in `pipelines/"
                "`, for example)"
            ),
        ],
    ),
    "a runner.yaml of other bytes": (
        {**DVC_PROJECT, "runner.yaml": "apiVersion: runner/v1".encode("utf-16")},
        [
            "runner.yaml:1:1: the text is not UTF-8 (save the file as UTF-8)",
        ],
    ),
    "quantities without end": (
        {
            **DVC_PROJECT,
            "runner.yaml": f"""\
apiVersion: runner/v1
kind: Pipeline
metadata: {{name: p}}
spec:
  stages:
    a:
      cmd: c
      timeout: {"9" * 400}h
    b:
      cmd: c
      resources: {{cpu: {"9" * 400}, memory: {"9" * 400}P}}
    d:
      cmd: c
      resources: {{memory: {"9" * 400}}}
      timeout: .inf
""",
        },
        [
            (
                "runner.yaml:8:7: `timeout: 999999999999999999999999999999999999999999999999999999999999` is not"
                " a duration above zero, such as `2h`"
            ),
            (
                "runner.yaml:11:7: `resources.cpu: 999999999999999999999999999999999999999999999999999999999999`"
                " is not a number of cores"
            ),
            (
                "runner.yaml:11:7: `resources.memory: 9999999999999999999999999999999999999999999999999999999999"
                "99` is not an amount of memory such as `4Gi`"
            ),
            (
                "runner.yaml:14:7: `resources.memory: 9999999999999999999999999999999999999999999999999999999999"
                "99` is not an amount of memory such as `4Gi`"
            ),
            "runner.yaml:15:7: `timeout: inf` is not a duration above zero, such as `2h`",
        ],
    ),
    "a parameter that fits several": (
        {**DVC_PROJECT, "dvc.yaml": "stages:\n  a: {cmd: c, params: ['a.*']}\n", "params.yaml": "a: {b: 1, c: 2}\n"},
        [
            "dvc.yaml:2:24: the parameter 'a.*' fits more than one value (name one value)",
        ],
    ),
}
