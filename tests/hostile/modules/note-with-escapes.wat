;; tries: allows with a note that forges a line of a log
;; must: allow "ok\u{a}floor/conflict"
(data (i32.const 4096) "\00\00\00\00\01\00\00\00\00\40\00\00\11\00\00\00")
(data (i32.const 16384) "ok\0afloor/conflict")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
