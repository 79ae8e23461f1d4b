;; tries: logs bytes that are no text
;; must: refuse sandbox/host-call "log.emit with a string that is not UTF-8"
(import "sigwarden:policy/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
(data (i32.const 4096) "\ff\fe")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $emit (i32.const 2) (i32.const 4096) (i32.const 2)) (i32.const 0))
