;; tries: reads 4 GiB behind its memory, by an offset
;; must: refuse sandbox/trap "out of bounds memory"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.load offset=4294967295 (i32.const -1)))
