;; tries: gives up
;; must: refuse sandbox/trap "wasm `unreachable`"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  unreachable)
