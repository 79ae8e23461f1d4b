;; tries: answers neither allow nor deny
;; must: refuse sandbox/malformed "contract"
(data (i32.const 4096) "\02")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
