;; tries: never finishes its configuration
;; must: load call configure sandbox/fuel "used all of its fuel"
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (loop $l (br $l)) unreachable)
