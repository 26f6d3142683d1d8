;; Imports a function that nobody provides.
(module
  (import "env" "fire_missile" (func))
  (func (export "run")))
