;; tries: spends its time in the host, where fuel does not see it
;; must: refuse sandbox/deadline "ran past its deadline"
;; limits: fuel=18446744073709551615 deadline_ms=50
(import "sigwarden:policy/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (loop $l (call $emit (i32.const 0) (i32.const 1100) (i32.const 1)) (br $l)) unreachable)
