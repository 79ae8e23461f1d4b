;; tries: has endless fuel and uses it
;; must: refuse sandbox/deadline "ran past its deadline"
;; limits: fuel=18446744073709551615 deadline_ms=50
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (loop $l (br $l)) unreachable)
