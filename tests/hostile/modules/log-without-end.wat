;; tries: logs 100,000 lines; 64 are kept, the rest counted
;; must: log 65 "99936 more lines were dropped"
;; limits: fuel=10000000
(import "sigwarden:policy/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32) (local $i i32)
  (loop $l (call $emit (i32.const 0) (i32.const 1100) (i32.const 7)) (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000)))) (i32.const 0))
