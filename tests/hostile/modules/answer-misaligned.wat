;; tries: answers with an odd address
;; must: refuse sandbox/malformed "contract"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 3))
