;; tries: imports an interface whose name begins like the contract's
;; must: load imports "`sigwarden:policy-keys/limits@0.1.0`"
(component (import "sigwarden:policy-keys/limits@0.1.0" (instance)))
