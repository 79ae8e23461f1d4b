;; tries: divides the least number by -1
;; must: refuse sandbox/trap "integer overflow"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.div_s (i32.const -2147483648) (i32.const -1)))
