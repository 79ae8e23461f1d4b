;; tries: logs without end
;; must: refuse sandbox/fuel "used all of its fuel"
(import "sigwarden:policy/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (loop $l (call $emit (i32.const 2) (i32.const 1100) (i32.const 7)) (br $l)) unreachable)
