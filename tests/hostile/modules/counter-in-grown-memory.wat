;; tries: counts its evaluations by the size of its memory
;; must: allow
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (if (i32.ne (memory.size) (i32.const 4)) (then (return (i32.const 1300))))
  (drop (memory.grow (i32.const 1)))
  (i32.store (i32.const 262144) (i32.const 1)) (i32.const 0))
