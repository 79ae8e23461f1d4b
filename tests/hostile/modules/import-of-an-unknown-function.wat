;; tries: imports a function that `limits` has not
;; must: load types "limits"
;; wit: interface limits { => interface limits { refill: func();
(import "sigwarden:policy/limits@0.1.0" "refill" (func $refill))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $refill) (i32.const 0))
