;; tries: stages a change and traps: nothing of it may be left
;; must: refuse sandbox/trap "unreachable"
(import "sigwarden:policy/storage@0.1.0" "set" (func $set (param i32 i32 i32 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $set (i32.const 1100) (i32.const 7) (i32.const 1100) (i32.const 7)) unreachable)
