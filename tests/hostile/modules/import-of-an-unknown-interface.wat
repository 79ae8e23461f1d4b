;; tries: imports an interface that the contract has not
;; must: load imports "`sigwarden:policy/clock@0.1.0`"
(component (import "sigwarden:policy/clock@0.1.0" (instance (export "now" (func (result u64))))))
