;; tries: takes memory until there is no more
;; must: refuse sandbox/memory "2097152 are allowed"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (loop $l (drop (memory.grow (i32.const 1))) (br $l)) unreachable)
