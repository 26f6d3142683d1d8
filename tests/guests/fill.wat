;; Fills 64 MiB of memory over and over: single operations that take long.
(module
  (memory 1024)
  (func (export "run")
    (loop $again
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 67108864))
      (br $again))))
