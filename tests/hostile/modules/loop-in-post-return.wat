;; tries: allows, then loops in the clean-up after its answer
;; must: refuse sandbox/fuel "used all of its fuel"
(func (export "cabi_post_evaluate") (param i32) (loop $l (br $l)))
