;; tries: takes 4 GiB at once
;; must: refuse sandbox/memory "bytes of memory"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (drop (memory.grow (i32.const 65000))) (i32.const 0))
