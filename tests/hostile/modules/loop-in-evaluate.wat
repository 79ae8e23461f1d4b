;; tries: never answers
;; must: refuse sandbox/fuel "used all of its fuel"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (loop $l (br $l)) unreachable)
