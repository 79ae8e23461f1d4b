;; tries: answers with an address behind its memory
;; must: refuse sandbox/malformed "contract"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 262144))
