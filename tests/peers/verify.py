#!/usr/bin/env python3
"""Checks a Sigwarden audit log from its files alone: an outside witness, written from docs/audit.md.

    verify.py DIRECTORY...

A DIRECTORY is a state directory (it has `log/`) or what `sigwarden audit export` wrote (it has `manifest.json` too). Prints for each, as
JSON, what holds, or its first bad line: file, line, byte, what. Exit code 0: all hold; 1: one does not; 2: one cannot be read.
"""
import json, re, sys  # noqa: E401
from pathlib import Path
from blake3 import blake3

FORMAT, LINE_MAX, U64 = 1, 16 * 1024, 2**64 - 1
KEPT_MS, REMEMBERED_MAX = 24 * 60 * 60 * 1000, 1_000_000
D, H = "(0|[1-9][0-9]{0,19})", "([0-9a-f]{64})"
TERMINATOR = re.compile(rf'\{{"frame":\{{"first":"{D}","last":"{D}","bytes":"{D}","blake3":"{H}"\}}\}}'.encode())
BEHIND = re.compile(b"(?m)^" + TERMINATOR.pattern + b"\n")
HEADER = re.compile(
    rf'\{{"segment":\{{"format":([0-9]{{1,9}}),"deployment":"([0-9a-f]{{32}})","generation":"{D}","first":"{D}",'
    rf'"previous":"{H}","time":"{D}"\}}\}}'.encode())
# The fields of each kind's body and of each effect; `?` marks those that may be left out. Effects with the kinds that may have them.
DECISION = "decision request caller key operation format scheme backend payload inputs consensus? engine approvals"
BODIES = {
    "start": "deployment generation version cut-bytes rebuilt", "decision": DECISION, "replay": DECISION,
    "outcome": "decision-sequence decision request caller key scheme backend signatures? code? message? micros",
    "refusal": "code message denials? stage request? caller? uid operation key format micros", "refusals": "caller? uid? count"}
BODIES |= dict.fromkeys(("public-key", "lifecycle", "policy-set", "floor", "clock", "maintenance", "alarm"), "operator reason")
TELLS = ("refusal", "refusals", "maintenance", "alarm")  # and change nothing
EFFECTS = {
    "bucket": ("decision", "instance name arrival-ns"), "watermark": ("decision", "instance name watermark"),
    "store": ("decision", "instance name value"), "use": ("decision", "key"), "floor": ("decision floor", "key floor"),
    "request": ("decision replay", "tag version identity payload decision at-ms"), "request-forgotten": ("decision replay", "tag"),
    "floor-signature": ("outcome", "key position signature"), "request-signed": ("outcome", "tag signatures"),
    "key-pinned": ("public-key", "key scheme public-key created-ms state"), "key-state": ("lifecycle", "key state"),
    "clock-accepted": ("clock", "now-ms"), "policy-instance": ("policy-set", "instance module-digest config-digest version")}
DECIDED, REMEMBERED = ("decision", "request", "caller", "key"), ("tag", "payload", "decision", "version", "at-ms")
TAKEN = {"operator": "by", "extension": "by hash", "message": "by identity sign-bytes timestamp signature?"}

class Bad(Exception):
    """Something does not hold."""

def pairs(items):
    """A JSON object; nothing if a name stands in it twice."""
    return made if len(made := dict(items)) == len(items) else None

def refuse_if(wrong, what):
    if wrong:
        raise Bad(what)

def fields(value, names, where):
    """Refuses what is no object, or has other fields than these."""
    known, needed = set(names.replace("?", "").split()), {name for name in names.split() if not name.endswith("?")}
    right = isinstance(value, dict) and needed <= set(value) <= known
    refuse_if(not right, f"{where} is no object, or has a field twice, or has not exactly the fields `{names}`")

def position(texts):
    refuse_if(not all(re.fullmatch(D, text) and int(text) <= U64 for text in texts), f"{texts}: a decimal string of 64 bits is wanted")
    return tuple(map(int, texts))

def floor_key(key):
    return key["public-key"], key["chain-id"], key["class"]

def standing(floor):
    """A floor as position and what stands there."""
    fields(floor, "position taken", "floor")
    fields(floor["taken"], TAKEN.get(floor["taken"].get("by"), ""), "taken")
    return position(floor["position"]), floor["taken"]

def version(body):
    return int(body["key"].rpartition(".v")[2])

def tag_of(body):
    """A request id in its scope: who gave it, for which key, whatever its version."""
    parts = [text.encode() for text in (body["caller"], body["key"].rpartition(".v")[0], body["request"])]
    scope = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return blake3(scope, derive_key_context="sigwarden request id 1").hexdigest()

class Meaning:
    """What the records say, and whether it can be. Of a log that does not begin with record 1 what was never seen is taken as it comes."""

    def __init__(self, first, known=None):
        known = known or {"complete": first == 1} | dict.fromkeys(("keys", "floors", "watermarks", "requests", "decisions"), ())
        self.first, self.complete = 0 if known["complete"] else first, known["complete"]
        self.keys = {key["key"]: key["public-key"] for key in known["keys"]}
        self.floors = {floor_key(item["key"]): standing(item["floor"]) for item in known["floors"]}
        self.marks = {(item["instance"], item["name"]): position(item["watermark"]["position"]) for item in known["watermarks"]}
        self.requests = {item["tag"]: item for item in known["requests"]}
        self.open = {int(item["sequence"]): item for item in known["decisions"]}
        for item in self.open.values():
            item["floor"] = (floor_key(item["floor"][0]), position(item["floor"][1])) if "floor" in item else None

    def read(self, record, header):
        kind, body, effects, sequence = record["kind"], record["body"], record.get("effects") or [], int(record["sequence"])
        fields(body, BODIES[kind], "body")
        for effect in effects:
            kinds, names = EFFECTS.get(effect["effect"], ("", ""))
            refuse_if(kind not in kinds.split(), f"a `{kind}` record has no such effect")
            fields(effect, "effect " + names, effect["effect"])
        if kind == "start":
            own = (body["deployment"], int(body["generation"])) == (header["deployment"], header["generation"])
            refuse_if(not own, "its deployment or generation is not that of its segment")
            self.open.clear()
        elif kind in ("decision", "replay"):
            self.decide(sequence, body, effects, kind == "replay", int(record["time"]) // 1_000_000)
        elif kind == "outcome":
            self.outcome(sequence, body, effects)
        elif kind in TELLS:
            refuse_if(effects, "it only tells something, and changes the state")
        else:
            self.administer(effects)

    def decide(self, sequence, body, effects, replay, now_ms):
        consensus, key, tag = body.get("consensus"), body["key"], tag_of(body)
        taken = [effect["key"] for effect in effects if effect["effect"] == "floor"]
        if not self.complete and taken:
            self.keys.setdefault(key, taken[0]["public-key"])
        refuse_if(self.complete and key not in self.keys, f"{key} was never pinned")
        at = position(consensus["position"]) if consensus else None
        main = (self.keys[key], consensus["chain-id"], consensus["class"]) if consensus and key in self.keys else None
        recorded = self.repeated(body, tag, main, at, now_ms) if replay else None
        for effect in effects:
            if effect["effect"] == "floor":
                self.take(effect, main, at, body["inputs"])
            elif effect["effect"] == "watermark":
                name, to = (effect["instance"], effect["name"]), position(effect["watermark"]["position"])
                stands = self.marks.get(name)
                refuse_if(stands and (len(to) != len(stands) or to <= stands), f"the watermark {name} does not rise")
                self.marks[name] = to
            elif effect["effect"].startswith("request"):
                self.remember(effect, body, tag, now_ms)
        if not replay:
            uses = [effect["key"] for effect in effects if effect["effect"] == "use"]
            refuse_if(uses != [key], "a decision counts one use of its key, and of no other")
            refuse_if(consensus and not taken, "a consensus message was decided without taking its floor")
            if [floor["class"] for floor in taken] == ["cometbft-extension"] and main in self.floors:
                recorded = self.floors[main][1].get("signature")
        self.open[sequence] = {name: body[name] for name in DECIDED} | {
            "tag": tag, "inputs": len(body["inputs"]), "floor": main and (main, at), "recorded": recorded}

    def given(self, tag, now_ms):
        """What a request id stands for, as long as it counts."""
        given = self.requests.get(tag)
        return given if given and now_ms - int(given["at-ms"]) < KEPT_MS else None

    def repeated(self, body, tag, main, at, now_ms):
        """The signature that a replay repeats, if it is known: of its floor or, once that has moved on, of its request id."""
        given, (stands, taken) = self.given(tag, now_ms), self.floors.get(main, (None, None))
        by_id = given and (given["payload"], given["version"]) == (body["payload"]["blake3"], version(body))
        signed = given["signatures"][0]["bytes"] if by_id and given["signatures"] else None
        if at and at == stands and taken["by"] == "message":
            return taken.get("signature")
        refuse_if(at and stands and (stands <= at or not signed), "it repeats nothing: the floor stands elsewhere")
        refuse_if(self.complete and not (stands if at else by_id), "it repeats nothing: no floor, or no request id with this payload")
        return None if at and not stands else signed

    def remember(self, effect, body, tag, now_ms):
        given, kept = self.requests.get(effect["tag"]), self.given(effect["tag"], now_ms)
        if effect["effect"] == "request":
            own = tag, body["payload"]["blake3"], body["decision"], version(body), str(now_ms)
            refuse_if(own != tuple(effect[name] for name in REMEMBERED), "it remembers another request than its own")
            refuse_if(kept, "it decides a request id that was decided before")
            self.requests[tag] = effect | {"signatures": []}
        else:
            refuse_if(kept and len(self.requests) < REMEMBERED_MAX, "it forgets a request id that is to be kept")
            refuse_if(self.complete and not given, "it forgets a request id that was never given")
            self.requests.pop(effect["tag"], None)

    def take(self, effect, main, at, inputs):
        key, (to, taken) = floor_key(effect["key"]), standing(effect["floor"])
        stands, (beside, by) = self.floors.get(key, (None, None))[0], self.floors.get(main, (None, {}))
        refuse_if(not main or key[:2] != main[:2] or to != at, "it takes the floor of another key, chain or position than its own")
        refuse_if(stands and to < stands, "it is below the floor")
        if (taken["by"], key[2]) == ("message", "cometbft") and "signature" not in taken:
            signed = bytes.fromhex(taken["sign-bytes"])
            own = inputs[:1] == [{"blake3": blake3(signed).hexdigest(), "bytes": len(signed)}]
            refuse_if(not own, "the sign bytes at its floor are not its first input")
            refuse_if(to == stands or self.complete and not stands, "a second message for one position, or no floor was known")
        else:
            refuse_if((taken["by"], key[2]) != ("extension", "cometbft-extension"), "a decision does not take a floor like this")
            refuse_if(len(inputs) < 2 or inputs[1]["blake3"] != taken["hash"], "the extension at its floor is not its second input")
            alone = (beside, by.get("by")) != (to, "message") and (beside or self.complete)
            refuse_if(alone, "a vote extension without its precommit")
        self.floors[key] = to, taken

    def outcome(self, sequence, body, effects):
        of, made = int(body["decision-sequence"]), body.get("signatures", [])
        decision = self.open.pop(of, None)
        if not decision and of < self.first:
            return  # decided before what is read
        same = decision and of < sequence and all(body[name] == decision[name] for name in DECIDED)
        refuse_if(not same, f"no decision {of} that it could be of waits for an outcome")
        told = ("code" in body) == ("message" in body) != bool(made) and len(made) in (0, decision["inputs"])
        refuse_if(not told, "an outcome has either a signature for each input of its decision, or a code and a message")
        first, floor = made[0]["bytes"] if made else None, decision["floor"]
        refuse_if(made and decision["recorded"] not in (None, first), "it repeats a decision with another signature than the one recorded")
        for effect in effects:
            if effect["effect"] == "request-signed":
                given, own = self.requests.get(effect["tag"], {}), (effect["tag"], effect["signatures"]) == (decision["tag"], made)
                refuse_if(not own or self.complete and not given, "it remembers other signatures than its own, or for no request id")
                given["signatures"] = made
            else:
                key, at = floor_key(effect["key"]), position(effect["position"])
                own = floor == (key, at) if floor else not self.complete
                refuse_if(not own or effect["signature"] != first, "it has a floor's signature that its decision is not of")
                stands, taken = self.floors.get(key, (None, None))
                if stands == at and taken["by"] == "message":
                    taken["signature"] = first

    def administer(self, effects):
        refuse_if(not effects, "a change by an operator that changes nothing")
        for effect in effects:
            key = effect.get("key")
            if effect["effect"] == "key-pinned":
                refuse_if(key in self.keys, f"{key} was pinned before")
                self.keys[key] = effect["public-key"]
            elif effect["effect"] == "key-state":
                refuse_if(self.complete and key not in self.keys, f"{key} was never pinned")
            elif effect["effect"] == "floor":
                key, (to, taken) = floor_key(key), standing(effect["floor"])
                refuse_if(key in self.floors and to <= self.floors[key][0], "it is not above the floor that stands")
                self.floors[key] = to, taken

class Segment:
    """One file, read line by line: `number` and `begin` are the line's that is looked at."""

    def __init__(self, path):
        self.data, self.at, self.number, self.begin = path.read_bytes(), 0, 0, 0

    def line(self):
        self.begin, self.number = self.at, self.number + 1
        end = self.data.find(b"\n", self.at, self.at + LINE_MAX + 1)
        refuse_if(end < 0, "no line is so long" if len(self.data) - self.at > LINE_MAX else "the file ends within a frame")
        self.at = end + 1
        return self.data[self.begin:end]

    def header(self):
        text = self.line()
        match = HEADER.fullmatch(text)
        refuse_if(not match or any(int(match[n]) > U64 for n in (3, 4, 6)), "this is no segment header")
        refuse_if(int(match[1]) > FORMAT, "its format is newer than this verifier")
        generation, first = int(match[3]), int(match[4])
        right = (first, first - 1, self.at, blake3(text + b"\n").hexdigest())
        refuse_if(terminator(self.line()) != right or not first, "the header's terminator does not match the header")
        self.number, self.begin = 1, 0  # where everything is that may be wrong with the header
        return {"deployment": match[2].decode(), "generation": generation, "first": first, "previous": match[5].decode()}

    def frame(self, sequence, head):
        """One frame's lines, each with its number, offset and record, and the chain's end."""
        begin, first, lines = self.at, sequence + 1, []
        while not (end := terminator(text := self.line())):
            record, sequence = envelope(text), sequence + 1
            refuse_if(int(record["sequence"]) != sequence, f"its sequence is {record['sequence']}, {sequence} comes next")
            refuse_if(record["previous"] != head, "its `previous` is not the hash of the line before: one of the two was changed")
            head = blake3(text).hexdigest()
            lines.append((self.number, self.begin, record))
        right = (first, sequence, self.begin - begin, blake3(self.data[begin:self.begin]).hexdigest())
        refuse_if(not lines or end != right, "the terminator does not match the lines before it")
        return lines, sequence, head

    def read(self, header, meaning, newest):
        """Reads the frames to their end; returns the chain's end, and the bytes of an unfinished write."""
        sequence, head, stopped, self.number, end = header["first"] - 1, header["previous"], None, 2, self.at
        while not stopped and self.data[end:end + 1] not in (b"", b"\0"):
            try:
                lines, sequence, head = self.frame(sequence, head)
            except Bad as bad:
                stopped = bad
                continue
            for self.number, self.begin, record in lines:
                try:
                    meaning.read(record, header)
                except (LookupError, TypeError, AttributeError, ValueError) as error:
                    raise Bad(f"this is no record: {error!r}") from None
            self.number, end = self.number + 1, self.at
        spans = ((at.start() - int(at[3]), at.start(), at[4]) for at in BEHIND.finditer(self.data, end))
        behind = any(begin >= end and blake3(self.data[begin:stop]).hexdigest().encode() == hash for begin, stop, hash in spans)
        if behind or not newest and end != len(self.data):
            if not stopped:
                self.number, self.begin, stopped = self.number + 1, end, Bad("it goes on with bytes that are no frame")
            raise stopped
        return sequence, head, len(self.data[end:].rstrip(b"\0"))

def terminator(text):
    match = TERMINATOR.fullmatch(text)
    return match and max(map(int, match.groups()[:3])) <= U64 and (int(match[1]), int(match[2]), int(match[3]), match[4].decode())

def envelope(text):
    """A line's outermost fields; what is in `effects` and `body` is looked at when the frame holds."""
    try:
        record = json.loads(text.decode(), object_pairs_hook=pairs, parse_constant=int)  # `int` takes no `NaN`
        fields(record, "sequence kind time previous effects? body", "record")
        refuse_if(record["kind"] not in BODIES or not re.fullmatch(H, record["previous"]), "its kind or `previous` is none")
        position((record["sequence"], record["time"]))
        return record
    except (ValueError, TypeError, RecursionError) as error:
        raise Bad(f"this is no record: {error}") from None

def verify(directory):
    """What holds; or what is the first that does not."""
    # One that is being moved may be in both.
    paths = (path for log in ("log", "archive") for path in (directory / log).glob("*.jsonl"))
    files = sorted({int(path.stem): path for path in paths if re.fullmatch("[0-9]{20}", path.stem)}.items())
    refuse_if(not files, "there is no log")
    manifest = directory / "manifest.json"
    manifest = json.loads(manifest.read_text(), object_pairs_hook=pairs)["export"] if manifest.exists() else None
    refuse_if(manifest and manifest["format"] != FORMAT, "the export is of a format that this verifier does not know")
    sequence, deployment, generation, head = files[0][0] - 1, None, 0, None
    meaning = Meaning(sequence + 1, manifest and manifest["state"])
    for number, path in files:
        segment = Segment(path)
        try:
            header = segment.header()
            deployment, head = deployment or header["deployment"], head or (header["previous"] if number > 1 else "0" * 64)
            refuse_if(header["first"] != number or number != sequence + 1, f"its name and its header do not say {sequence + 1} both")
            refuse_if(header["deployment"] != deployment, "it belongs to another deployment than the first segment")
            refuse_if(header["generation"] < generation, "its generation is below that of the segment before")
            refuse_if(header["previous"] != head, "it does not continue the chain of the segment before")
            generation, (sequence, head, unfinished) = header["generation"], segment.read(header, meaning, path == files[-1][1])
        except Bad as bad:
            return {"holds": False, "file": str(path), "line": segment.number, "offset": segment.begin, "what": str(bad)}
    said = {"deployment": deployment, "generation": str(generation), "first": str(files[0][0]), "last": str(sequence), "head": head}
    other = [name for name in said if manifest and manifest[name] != said[name]]
    refuse_if(other, f"the manifest says another {other} than the files: they are of two exports or were cut")
    counts = {"records": sequence + 1 - files[0][0], "last_sequence": sequence, "unfinished_bytes": unfinished}
    floors = [(key, at, taken["by"]) for key, (at, taken) in sorted(meaning.floors.items())]
    return {"holds": True} | said | counts | {"requests": len(meaning.requests), "floors": floors}

def judge(directory, before=None):
    """Verifies; what a daemon was writing meanwhile is no damage: only what a second reading finds at the same place is."""
    try:
        found = verify(directory)
    except (Bad, OSError, LookupError, TypeError, ValueError) as error:
        return {"holds": None, "what": f"{directory}: {error!r}"}
    return found if found["holds"] or found == before else judge(directory, found)

if __name__ == "__main__":
    if not sys.argv[1:] or any(argument.startswith("-") for argument in sys.argv):
        sys.exit(__doc__)
    answers = []
    for argument in sys.argv[1:]:
        answers.append(judge(Path(argument)))
        print(json.dumps(answers[-1]))
    sys.exit(max({True: 0, False: 1, None: 2}[answer["holds"]] for answer in answers))
