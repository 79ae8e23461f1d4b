#!/usr/bin/env python3
"""Checks a Sigwarden audit log from its files alone: an outside witness, written from docs/audit.md.

    verify.py [--json] DIRECTORY...

A DIRECTORY is a state directory (it has `log/`) or what `sigwarden audit export` wrote (it has `manifest.json` too). Prints a summary, or
the first bad line: file, line, byte, what. Exit code 0: all hold; 1: one does not; 2: one cannot be read. Needs Python 3.11 and `blake3`.
"""
import json
import mmap
import os
import re
import sys

from blake3 import blake3

LINE_MAX = 16 * 1024
FORMAT = 1
NONE = "0" * 64
U64 = 2**64 - 1
D = r"(0|[1-9][0-9]{0,19})"
TERMINATOR = re.compile(rf'\{{"frame":\{{"first":"{D}","last":"{D}","bytes":"{D}","blake3":"([0-9a-f]{{64}})"\}}\}}'.encode())
HEADER = re.compile(
    rf'\{{"segment":\{{"format":([0-9]{{1,9}}),"deployment":"([0-9a-f]{{32}})","generation":"{D}","first":"{D}",'
    rf'"previous":"([0-9a-f]{{64}})","time":"{D}"\}}\}}'.encode())
NEWER = re.compile(rb'\{"segment":\{"format":([0-9]{1,9}),')
NAME = re.compile(r"([0-9]{20})\.jsonl")
sys.set_int_max_str_digits(0)

class Bad(Exception):
    """Something does not hold: what, and where, once that is known."""

    def __init__(self, what, line=0, offset=0):
        super().__init__(what)
        self.what, self.line, self.offset, self.file = what, line, offset, None

class Unreadable(Exception):
    """Nothing can be said."""

class Object(dict):
    """A JSON object that knows whether a name stood in it twice."""
    twice = False

def refuse_if(wrong, what, line=0, offset=0):
    if wrong:
        raise Bad(what, line, offset)

def pairs(items):
    made = Object(items)
    made.twice = len(made) != len(items)
    return made

def constant(text):
    raise ValueError(f"{text} is no JSON")

# The fields of each kind's body and of each effect; `?` marks those that may be left out.
DECISION = ("decision request caller key operation format scheme backend payload inputs consensus? engine approvals")
BODIES = {
    "start": "deployment generation version cut-bytes rebuilt", "decision": DECISION, "replay": DECISION,
    "outcome": "decision-sequence decision request caller key scheme backend signatures? code? message? micros",
    "refusal": "code message denials? stage request? caller? uid operation key format micros"}
BODIES |= dict.fromkeys(("public-key", "lifecycle", "policy-set", "floor", "maintenance", "alarm"), "operator reason")
EFFECTS = {  # with the kinds of records that may have it
    "bucket": (("decision",), "instance name arrival-ns"), "watermark": (("decision",), "instance name watermark"),
    "store": (("decision",), "instance name value"), "floor": (("decision", "floor"), "key floor"),
    "floor-signature": (("outcome",), "key position signature"), "use": (("decision",), "key"),
    "key-pinned": (("public-key",), "key scheme public-key created-ms state"), "key-state": (("lifecycle",), "key state"),
    "policy-instance": (("policy-set",), "instance module-digest config-digest version")}
TAKEN = {"operator": "by", "extension": "by hash", "message": "by identity sign-bytes timestamp signature?"}

def fields(value, names, where):
    """Refuses what is no object, or has other fields than these."""
    names = names.split()
    refuse_if(not isinstance(value, Object) or value.twice, f"{where} is no object, or has a field twice")
    if unknown := set(value) - {name.rstrip("?") for name in names}:
        raise Bad(f"{where} has fields that are not known: {unknown}")
    if missing := [name for name in names if not name.endswith("?") and name not in value]:
        raise Bad(f"{where} lacks {missing}")

def decimal(text):
    return re.fullmatch(D, text) and int(text) <= U64

def position(texts):
    refuse_if(not all(decimal(text) for text in texts), "a position has decimal strings")
    return tuple(int(text) for text in texts)

class Meaning:
    """What the records say, and whether it can be."""

    def __init__(self, first, known=None):
        # Of a log that begins with record 1 everything is known; else what was never seen is taken as it comes.
        self.first, self.complete, self.keys, self.floors, self.marks, self.open = first, first == 1, {}, {}, {}, {}
        if known:
            self.first, self.complete = 0, known["complete"]
            self.keys = {key["key"]: key["public-key"] for key in known["keys"]}
            self.floors = {self.floor_key(item["key"]): item["floor"] for item in known["floors"]}
            self.marks = {(item["instance"], item["name"]): item["watermark"] for item in known["watermarks"]}
            for item in known["decisions"]:
                floor = item.get("floor")
                self.open[int(item["sequence"])] = item | {
                    "floor": (self.floor_key(floor[0]), position(floor[1])) if floor else None}

    @staticmethod
    def floor_key(key):
        return key["public-key"], key["chain-id"], key["class"]

    def read(self, record, header):
        kind, body, effects = record["kind"], record["body"], record.get("effects") or []
        fields(body, BODIES[kind], "body")
        for effect in effects:
            kinds, names = EFFECTS.get(effect["effect"], ((), ""))
            refuse_if(kind not in kinds, f"a `{kind}` record has no such effect")
            fields(effect, "effect " + names, effect["effect"])
            if effect["effect"] == "floor":
                fields(effect["floor"], "position taken", "floor")
                fields(effect["floor"]["taken"], TAKEN.get(effect["floor"]["taken"].get("by"), ""), "taken")
        if kind == "start":
            refuse_if((body["deployment"], int(body["generation"])) != (header["deployment"], header["generation"]), "its deployment or generation is not that of its segment")
            self.open.clear()
        elif kind in ("decision", "replay"):
            self.decide(int(record["sequence"]), body, effects, kind == "replay")
        elif kind == "outcome":
            self.outcome(int(record["sequence"]), body, effects)
        elif kind in ("maintenance", "alarm"):
            refuse_if(effects, "it only tells something, and changes the state")
        elif kind != "refusal":
            self.administer(effects)

    def decide(self, sequence, body, effects, replay):
        consensus = body.get("consensus")
        taken = [effect for effect in effects if effect["effect"] == "floor"]
        if not self.complete and body["key"] not in self.keys and taken:
            self.keys[body["key"]] = taken[0]["key"]["public-key"]
        refuse_if(self.complete and body["key"] not in self.keys, f"{body['key']} was never pinned")
        public, main, at, recorded = self.keys.get(body["key"]), None, None, None
        if consensus:
            at = position(consensus["position"])
            main = (public, consensus["chain-id"], consensus["class"]) if public else None
        for effect in effects:
            if effect["effect"] == "floor":
                self.take(effect, main, at, body)
            elif effect["effect"] == "watermark":
                self.rise(effect)
        if replay:
            stands = self.floors.get(main)
            refuse_if(not consensus or effects, "a replay is of a consensus message and grants nothing new")
            refuse_if(stands and (position(stands["position"]) != at or stands["taken"]["by"] != "message"), "it repeats nothing: the floor stands elsewhere")
            refuse_if(not stands and self.complete, "it repeats nothing: no floor was known")
            recorded = stands and stands["taken"].get("signature")
        else:
            refuse_if([effect["key"] for effect in effects if effect["effect"] == "use"] != [body["key"]], "a decision counts one use of its key, and of no other")
            refuse_if(consensus and not taken, "a consensus message was decided without taking its floor")
            if [effect["key"]["class"] for effect in taken] == ["cometbft-extension"] and main in self.floors:
                recorded = self.floors[main]["taken"].get("signature")
        self.open[sequence] = {
            "decision": body["decision"], "request": body["request"], "caller": body["caller"], "key": body["key"],
            "inputs": len(body["inputs"]), "floor": (main, at) if main else None, "recorded": recorded}

    def take(self, effect, main, at, body):
        key, floor = self.floor_key(effect["key"]), effect["floor"]
        to, taken, stands = position(floor["position"]), floor["taken"], self.floors.get(key)
        refuse_if(not main or key[:2] != main[:2] or to != at, "it takes the floor of another key, chain or position than its own")
        if (taken["by"], key[2]) == ("message", "cometbft") and "signature" not in taken:
            signed = bytes.fromhex(taken["sign-bytes"])
            refuse_if(not body["inputs"] or body["inputs"][0] != {"blake3": blake3(signed).hexdigest(), "bytes": len(signed)}, "the sign bytes at its floor are not its first input")
            refuse_if(not stands and self.complete, "no floor was known")
            refuse_if(stands and to == position(stands["position"]), "it was taken before: a second message for one position")
            refuse_if(stands and to < position(stands["position"]), "it is below the floor")
        elif (taken["by"], key[2]) == ("extension", "cometbft-extension"):
            refuse_if(len(body["inputs"]) < 2 or body["inputs"][1]["blake3"] != taken["hash"], "the extension at its floor is not its second input")
            beside = self.floors.get(main)
            if (beside or self.complete) and not (
                    beside and position(beside["position"]) == to and beside["taken"]["by"] == "message"):
                raise Bad("a vote extension without its precommit")
            refuse_if(stands and to < position(stands["position"]), "it is below the floor")
        else:
            raise Bad("a decision does not take a floor like this")
        self.floors[key] = floor

    def rise(self, effect):
        name, mark = (effect["instance"], effect["name"]), effect["watermark"]
        to, stands = position(mark["position"]), self.marks.get(name)
        refuse_if(stands and (len(to) != len(stands["position"]) or to <= position(stands["position"])), f"the watermark {name} does not rise")
        self.marks[name] = mark

    def outcome(self, sequence, body, effects):
        of = int(body["decision-sequence"])
        decision = self.open.pop(of, None)
        if not decision and of < self.first:
            return  # decided before what is read
        refuse_if(not decision or of >= sequence or any(body[name] != decision[name] for name in ("decision", "request", "caller", "key")), f"no decision {of} that it could be of waits for an outcome")
        signatures = [signature["bytes"] for signature in body.get("signatures", [])]
        refuse_if(("code" in body) != ("message" in body) or ("code" in body) == bool(signatures), "an outcome has either signatures or a code and a message")
        refuse_if(signatures and len(signatures) != decision["inputs"], "it has another number of signatures than its decision has inputs")
        refuse_if(signatures and decision["recorded"] and decision["recorded"] != signatures[0], "it repeats a decision with another signature than the one recorded")
        for effect in effects:
            key, at = self.floor_key(effect["key"]), position(effect["position"])
            other = decision["floor"] != (key, at) if decision["floor"] else self.complete
            refuse_if(other or effect["signature"] != (signatures or [None])[0], "it has a floor's signature that its decision is not of")
            stands = self.floors.get(key)
            if stands and position(stands["position"]) == at and stands["taken"]["by"] == "message":
                stands["taken"]["signature"] = effect["signature"]

    def administer(self, effects):
        refuse_if(not effects, "a change by an operator that changes nothing")
        for effect in effects:
            kind, key = effect["effect"], effect.get("key")
            if kind == "key-pinned":
                refuse_if(key in self.keys, f"{key} was pinned before")
                self.keys[key] = effect["public-key"]
            elif kind == "key-state" and self.complete and key not in self.keys:
                raise Bad(f"{key} was never pinned")
            elif kind == "floor":
                stands = self.floors.get(self.floor_key(key))
                refuse_if(stands and position(effect["floor"]["position"]) <= position(stands["position"]), "it is not above the floor that stands")
                self.floors[self.floor_key(key)] = effect["floor"]

class Segment:
    """One file, read line by line."""

    def __init__(self, data):
        self.data, self.at, self.number = data, 0, 0

    def line(self):
        """The next line without its LF, and where it begins."""
        begin = self.at
        self.number += 1
        end = self.data.find(b"\n", begin, begin + LINE_MAX + 1)
        if end < 0:
            long = len(self.data) - begin > LINE_MAX
            raise Bad("no line is so long" if long else "the file ends within a frame", self.number, begin)
        self.at = end + 1
        return self.data[begin:end], begin

    def header(self):
        text, _ = self.line()
        newer, match = NEWER.match(text), HEADER.fullmatch(text)
        refuse_if(newer and int(newer[1]) > FORMAT, "its format is newer than this verifier", 1, 0)
        refuse_if(not match or any(int(match[n]) > U64 for n in (3, 4, 6)), "this is no segment header", 1, 0)
        first, length = int(match[4]), self.at
        end, at = self.line()
        refuse_if(first == 0 or terminator(end) != (first, first - 1, length, blake3(text + b"\n").hexdigest()), "the header's terminator does not match the header", 2, at)
        return {"deployment": match[2].decode(), "generation": int(match[3]), "first": first, "previous": match[5].decode()}

    def frame(self, sequence, head):
        """One frame's lines, each with its number, offset and record, and the chain's end; None where the frames end."""
        if self.at >= len(self.data) or self.data[self.at] == 0:
            return None
        begin, first, lines = self.at, sequence + 1, []
        while True:
            text, at = self.line()
            end = terminator(text)
            if end:
                refuse_if(not lines or end != (first, sequence, at - begin, blake3(self.data[begin:at]).hexdigest()), "the terminator does not match the lines before it", self.number, at)
                return lines, sequence, head
            try:
                record = envelope(text)
                refuse_if(int(record["sequence"]) != sequence + 1, f"its sequence is {record['sequence']}, {sequence + 1} comes next")
                refuse_if(record["previous"] != head, "its `previous` is not the hash of the line before: one of the two was changed")
            except Bad as bad:
                bad.line, bad.offset = self.number, at
                raise
            sequence, head = sequence + 1, blake3(text).hexdigest()
            lines.append((self.number, at, record))

    def tail(self, end):
        """What is after the last frame that holds: bytes up to the last that is not zero, and whether a frame that holds is there."""
        at = end
        while at < len(self.data):
            stop = self.data.find(b"\n", at)
            if stop < 0:
                break
            found = terminator(self.data[at:stop]) if stop - at <= 200 else None
            begin = at - found[2] if found else -1
            if begin >= end and blake3(self.data[begin:at]).hexdigest() == found[3]:
                return 0, True
            at = stop + 1
        return len(self.data[end:].rstrip(b"\0")), False

def terminator(text):
    match = TERMINATOR.fullmatch(text)
    found = match and (int(match[1]), int(match[2]), int(match[3]), match[4].decode())
    return found if found and max(found[:3]) <= U64 else None

def envelope(text):
    """A line's outermost fields; what is in `effects` and `body` is looked at when the frame holds."""
    try:
        record = json.loads(text.decode(), object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise Bad(f"this is no record: {error}") from None
    fields(record, "sequence kind time previous effects? body", "record")
    right = all(isinstance(record[name], str) for name in ("sequence", "kind", "time", "previous"))
    refuse_if(not right or record["kind"] not in BODIES or not decimal(record["sequence"]) or not decimal(record["time"]), "its sequence, kind or time is none")
    refuse_if(not re.fullmatch("[0-9a-f]{64}", record["previous"]), "its `previous` is no hash")
    return record

def read_segment(segment, header, meaning, newest):
    """Reads the frames to their end; returns the chain's end, and the bytes of an unfinished write."""
    sequence, head, stopped = header["first"] - 1, header["previous"], None
    while True:
        end, number = segment.at, segment.number
        try:
            frame = segment.frame(sequence, head)
        except Bad as bad:
            stopped = bad
            break
        if frame is None:
            break
        lines, sequence, head = frame
        for line, at, record in lines:
            try:
                meaning.read(record, header)
            except (LookupError, TypeError, AttributeError, ValueError) as error:
                raise Bad(f"this is no record: {error!r}", line, at) from None
            except Bad as bad:
                bad.line, bad.offset = line, at
                raise
    unfinished, valid_behind = segment.tail(end)
    if valid_behind or (not newest and end != len(segment.data)):
        raise stopped or Bad("it goes on with bytes that are no frame", number + 1, end)
    return sequence, head, unfinished

def verify(directory):
    logs = [path for path in (os.path.join(directory, "log"), os.path.join(directory, "archive")) if os.path.isdir(path)]
    # One that is being moved may be in both.
    files = sorted({int(match[1]): os.path.join(log, match[0]) for log in logs for match in map(NAME.fullmatch, os.listdir(log)) if match}.items())
    if not files:
        raise Unreadable(f"there is no log in {directory}")
    manifest = None
    if os.path.exists(os.path.join(directory, "manifest.json")):
        with open(os.path.join(directory, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)["export"]
        if manifest["format"] != FORMAT:
            raise Unreadable(f"an export of format {manifest['format']}; this verifier knows {FORMAT}")
    meaning = Meaning(files[0][0], manifest and manifest["state"])
    sequence, head, deployment, generation, records = files[0][0] - 1, NONE, None, 0, 0
    for number, path in files:
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                segment = Segment(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b"")
            header = segment.header()
            if deployment is None:
                deployment, first = header["deployment"], header["first"]
                head = header["previous"] if first > 1 else NONE
            refuse_if(header["first"] != number, f"it begins with record {header['first']}, its name says {number}", 1, 0)
            refuse_if(header["deployment"] != deployment, "it belongs to another deployment than the first segment", 1, 0)
            refuse_if(header["generation"] < generation, "its generation is below that of the segment before", 1, 0)
            refuse_if(header["first"] != sequence + 1, f"it begins with record {header['first']}, {sequence + 1} comes next", 1, 0)
            refuse_if(header["previous"] != head, "it does not continue the chain of the segment before", 1, 0)
            generation = header["generation"]
            sequence, head, unfinished = read_segment(segment, header, meaning, path == files[-1][1])
            records += sequence - header["first"] + 1
        except Bad as bad:
            bad.file = path
            raise
    found = {
        "holds": True, "deployment_id": deployment, "generation": generation, "segments": len(files), "records": records,
        "first_sequence": first, "last_sequence": sequence, "head": head, "unfinished_bytes": unfinished}
    if manifest:
        said = {"deployment": deployment, "generation": str(generation), "first": str(first), "last": str(sequence), "head": head}
        for name, value in said.items():
            if manifest[name] != value:
                raise Unreadable(f"the manifest says {name} {manifest[name]}, the files {value}: they are of two exports or were cut")
    found["floors"] = [
        {"public_key": key[0], "chain_id": key[1], "class": key[2], "position": floor["position"], "by": floor["taken"]["by"]}
        for key, floor in sorted(meaning.floors.items())]
    return found

def judge(directory):
    """Verifies; what a daemon was writing meanwhile is no damage: only what a second reading finds at the same place is."""
    before = None
    while True:
        try:
            return 0, verify(directory)
        except Bad as bad:
            where = (bad.file, bad.line, bad.offset, bad.what)
            if where == before:
                return 1, {"holds": False, "file": bad.file, "line": bad.line, "offset": bad.offset, "what": bad.what}
            before = where
        except (Unreadable, OSError, KeyError, ValueError) as error:
            return 2, {"holds": None, "what": f"{directory}: {error!r}"}

def main(arguments):
    as_json = "--json" in arguments
    directories = [argument for argument in arguments if argument != "--json"]
    if not directories or any(argument.startswith("-") for argument in directories):
        print(__doc__, file=sys.stderr)
        return 2
    worst = 0
    for directory in directories:
        code, found = judge(directory)
        worst = max(worst, code)
        if as_json:
            print(json.dumps(found))
        elif code:
            print(f"{found['file']}:{found['line']} (byte {found['offset']}): {found['what']}" if code == 1 else found["what"])
        else:
            print(*(f"{name.replace('_', ' '):18}{value}" for name, value in found.items() if name not in ("holds", "floors")), sep="\n")
            for floor in found["floors"]:
                print(f"floor             {floor['public_key']} {floor['chain_id']} {floor['class']}: {'/'.join(floor['position'])} by {floor['by']}")
    return worst

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
