;; tries: overwrites the answer that it will be asked for next
;; must: allow
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (memory.fill (i32.const 0) (i32.const 255) (i32.const 64))
  (i32.const 96))
