# One language started from another, cold.
python3 -c 'import time, os, sys; print(time.time_ns(), os.urandom(4).hex(), hash("x"), id(sys), os.getpid())'
python3 -c 'import ctypes; print(ctypes.CDLL("libm.so.6")._handle, ctypes.addressof(ctypes.create_string_buffer(9)))'
node -e 'console.log(Date.now(), Math.random(), process.memoryUsage(), process.hrtime.bigint())'
