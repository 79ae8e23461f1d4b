;; tries: allows, then traps
;; must: refuse sandbox/trap "unreachable"
(func (export "cabi_post_evaluate") (param i32) unreachable)
