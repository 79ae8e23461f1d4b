;; tries: answers with the last address there is
;; must: refuse sandbox/malformed "contract"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const -8))
