// Programs chosen to break determinism; the first argument names the case.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"math/big"
	mathrand "math/rand"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

var start = time.Now()

func print(values ...any) { fmt.Println(values...) }
func since() time.Duration { return time.Since(start) }
func sum(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data))[:16] }
func shell(command string) string {
	said, err := exec.Command("bash", "-c", command).CombinedOutput()
	return fmt.Sprint(string(said), err)
}

// ends runs machine code in a child of its own and says how that ended.
func ends(code ...byte) string {
	command := exec.Command("/proc/self/exe", "code", string(fmt.Appendf(nil, "%x", code)))
	said, err := command.CombinedOutput()
	return fmt.Sprint(len(said) > 0, err)
}
func call(code []byte) {
	page, err := syscall.Mmap(-1, 0, 4096, 7, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		panic(err)
	}
	copy(page, code)
	place := &page[0]
	pointer := unsafe.Pointer(&place)
	(*(*func())(unsafe.Pointer(&pointer)))()
}
func files(pattern string) (all []string) {
	names, _ := filepath.Glob(pattern)
	for _, name := range names {
		if strings.HasPrefix(name, "/proc/k") || strings.HasSuffix(name, "/pagemap") || strings.HasSuffix(name, "/mem") {
			continue
		}
		data, err := os.ReadFile(name)
		all = append(all, fmt.Sprint(name, len(data), sum(data), err))
	}
	return
}

var cases = map[string]func(){
	// case: clocks
	"clocks": func() {
		for range [6]int{} {
			print(time.Now().UnixNano(), time.Now(), since())
			time.Sleep(1234 * time.Microsecond)
		}
	},
	// case: elapsed
	"elapsed": func() {
		for _, size := range []int{10, 1000, 100000, 10} {
			began, total := time.Now(), 1
			for n := 0; n < size; n++ {
				total = total*31 + n
			}
			print(total, time.Since(began))
		}
	},
	// case: goroutines
	"goroutines": func() {
		var group sync.WaitGroup
		var lock sync.Mutex
		log, race := []int{}, 0
		for name := 0; name < 8; name++ {
			group.Add(1)
			go func(name int) {
				defer group.Done()
				for n := 0; n < 50; n++ {
					race++
					if n%7 == name {
						runtime.Gosched()
					}
					lock.Lock()
					log = append(log, name)
					lock.Unlock()
				}
			}(name)
		}
		group.Wait()
		print(race, log, since())
	},
	// case: selecting
	"selecting": func() {
		channels := [4]chan int{}
		for name := range channels {
			channels[name] = make(chan int, 2)
			go func(name int) {
				for n := 0; n < 40; n++ {
					channels[name] <- n
				}
			}(name)
		}
		for range [100]int{} {
			select {
			case n := <-channels[0]:
				fmt.Print("a", n)
			case n := <-channels[1]:
				fmt.Print("b", n)
			case n := <-channels[2]:
				fmt.Print("c", n)
			case n := <-channels[3]:
				fmt.Print("d", n)
			}
		}
		print(since())
	},
	// case: map_order
	"map_order": func() {
		values := map[string]int{}
		for n := 0; n < 60; n++ {
			values[fmt.Sprint("key", n)] = n
		}
		for range [3]int{} {
			for key := range values {
				fmt.Print(key, " ")
			}
			print()
		}
	},
	// case: randomness
	"randomness": func() {
		data := make([]byte, 32)
		rand.Read(data)
		number, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
		var hash maphash.Hash
		hash.WriteString("text")
		uuid, _ := os.ReadFile("/proc/sys/kernel/random/uuid")
		print(data, number, mathrand.Int63(), mathrand.Perm(9), hash.Sum64(), string(uuid))
	},
	// case: timers
	"timers": func() {
		var count atomic.Int64
		for _, delay := range []time.Duration{5, 1, 4, 2, 3} {
			time.AfterFunc(delay*time.Millisecond, func() { print(int(delay), count.Load(), since()) })
		}
		ticker := time.NewTicker(700 * time.Microsecond)
		for n := 0; n < 12; {
			select {
			case at := <-ticker.C:
				print(at.UnixNano())
				n++
			default:
				count.Add(1)
			}
		}
	},
	// case: contexts
	"contexts": func() {
		within, stop := context.WithTimeout(context.Background(), 3*time.Millisecond)
		defer stop()
		turns := 0
		for within.Err() == nil {
			turns++
		}
		print(turns, within.Err(), since())
	},
	// case: signals
	"signals": func() {
		channel := make(chan os.Signal, 100)
		signal.Notify(channel, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP)
		go func() {
			for n := 0; n < 30; n++ {
				syscall.Kill(os.Getpid(), []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP}[n%3])
				time.Sleep(50 * time.Microsecond)
			}
			close(channel)
		}()
		for got := range channel {
			print(got, since())
		}
	},
	// case: garbage
	"garbage": func() {
		var freed atomic.Int64
		for n := 0; n < 2000; n++ {
			value := &[100]int{n}
			runtime.SetFinalizer(value, func(*[100]int) { freed.Add(1) })
		}
		var about runtime.MemStats
		for range [3]int{} {
			runtime.GC()
			runtime.ReadMemStats(&about)
			print(freed.Load(), about.HeapAlloc, about.Mallocs, about.NumGC, about.PauseTotalNs, about.NextGC)
		}
		print(debug.SetGCPercent(10), since())
	},
	// case: addresses
	"addresses": func() {
		local := 1
		fmt.Printf("%p %p %p %p\n", &local, new([9000]int), print, os.Stdout)
		maps, _ := os.ReadFile("/proc/self/maps")
		print(string(maps))
	},
	// case: processes
	"processes": func() {
		var group sync.WaitGroup
		for _, n := range []int{3, 1, 2} {
			group.Add(1)
			go func(n int) {
				defer group.Done()
				print(shell(fmt.Sprintf("sleep 0.00%d; echo %d $$ $RANDOM $EPOCHREALTIME", n, n)), since())
			}(n)
		}
		group.Wait()
	},
	// case: pipes
	"pipes": func() {
		reader, writer, _ := os.Pipe()
		var group sync.WaitGroup
		for name := byte(0); name < 4; name++ {
			group.Add(1)
			go func(name byte) {
				defer group.Done()
				for n := 0; n < 30; n++ {
					writer.Write([]byte(strings.Repeat(string('a'+rune(name)), 1+n*97%900)))
				}
			}(name)
		}
		go func() { group.Wait(); writer.Close() }()
		data := make([]byte, 1500)
		for {
			count, err := reader.Read(data)
			if err == io.EOF {
				break
			}
			fmt.Print(count, sum(data[:count])[:4], " ")
		}
		print(since())
	},
	// case: sockets
	"sockets": func() {
		server, err := net.Listen("unix", "/tmp/go.socket")
		if err != nil {
			panic(err)
		}
		go func() {
			for {
				peer, err := server.Accept()
				if err != nil {
					return
				}
				go io.Copy(peer, peer)
			}
		}()
		var group sync.WaitGroup
		for name := 0; name < 4; name++ {
			group.Add(1)
			go func(name int) {
				defer group.Done()
				client, _ := net.Dial("unix", "/tmp/go.socket")
				data := make([]byte, 50)
				for n := 0; n < 5; n++ {
					fmt.Fprintf(client, "%d.%d", name, n)
					count, _ := client.Read(data)
					print(string(data[:count]), since())
				}
			}(name)
		}
		group.Wait()
		local, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		go func() {
			peer, _ := local.Accept()
			io.Copy(peer, peer)
		}()
		client, _ := net.Dial("tcp", local.Addr().String())
		go client.Write(bytes.Repeat([]byte("faas"), 20000))
		data := make([]byte, 80000)
		io.ReadFull(client, data)
		print(local.Addr(), sum(data)[:4], since())
		_, err = net.DialTimeout("tcp", "192.0.2.1:80", time.Second)
		print(err)
	},
	// case: floats
	"floats": func() {
		for n, act := range []func(float64) float64{math.Sin, math.Cos, math.Tan, math.Exp, math.Log, math.Atan, math.Sinh, math.Cbrt, math.Sqrt, math.Gamma, math.Erf, math.Log1p} {
			all := []byte{}
			for k := 0; k < 400; k++ {
				all = fmt.Appendf(all, "%x ", math.Float64bits(act(float64(k)*0.0137-2.5)))
			}
			print(n, sum(all))
		}
		print(math.FMA(0.1, 10, -1), math.Pow(1.0000001, 1e9), since())
	},
	// case: nan_bits
	"nan_bits": func() {
		for _, text := range []uint64{0x7ff8000000000001, 0x7ff0000000000001, 0xfff8000000000002, 1, 1 << 63, 0x7ff0000000000000} {
			value := math.Float64frombits(text)
			fmt.Printf("%x %x %x %x %d\n", math.Float64bits(value+1), math.Float64bits(value*0), math.Float64bits(-value), math.Float32bits(float32(value)), int64(value))
		}
		print(since())
	},
	// case: lacking_instructions
	"lacking_instructions": func() {
		for _, code := range [][]byte{{0x0f, 0xc7, 0xf0}, {0xc5, 0xf5, 0x58, 0xc2}, {0x0f, 0x01, 0xd0}, {0xf4}, {0x0f, 0x0b}, {0xcc}, {0xcd, 0x81}, {0x66, 0xba, 5, 5, 0xb0, 1, 0xee}} {
			print(fmt.Sprintf("%x", code), ends(append(code, 0xc3)...), since())
		}
	},
	// case: self_modifying
	"self_modifying": func() {
		for n := byte(0); n < 200; n++ {
			call([]byte{0x90, 0xb8, n, 0, 0, 0, 0xc3})
			fmt.Print(since(), " ")
		}
		print(since())
	},
	// case: system_files
	"system_files": func() {
		for _, pattern := range []string{"/proc/[c-j]*[a-z]", "/proc/[l-v]*[a-z]", "/proc/self/[c-s]*[a-t]", "/sys/devices/system/*/*"} {
			for _, line := range files(pattern) {
				print(line)
			}
		}
	},
	// case: inodes
	"inodes": func() {
		for n := 0; n < 60; n++ {
			os.WriteFile(fmt.Sprint("/tmp/go", n*7919%1009), make([]byte, n), 0o600)
		}
		folder, _ := os.Open("/tmp")
		names, _ := folder.Readdirnames(-1)
		for _, name := range names {
			about, _ := os.Lstat("/tmp/" + name)
			print(name, about.ModTime().UnixNano(), fmt.Sprint(about.Sys()))
		}
	},
	// case: temporary_names
	"temporary_names": func() {
		for range [5]int{} {
			file, _ := os.CreateTemp("", "x*")
			folder, _ := os.MkdirTemp("", "y*")
			print(file.Name(), folder)
		}
	},
	// case: sorting
	"sorting": func() {
		values := mathrand.Perm(500)
		sort.Slice(values, func(a, b int) bool { return values[a]/50 < values[b]/50 })
		print(values)
	},
	// case: scheduler
	"scheduler": func() {
		print(runtime.NumCPU(), runtime.GOMAXPROCS(4), runtime.NumGoroutine(), runtime.Version())
		var turns [4]atomic.Int64
		for name := range turns {
			go func() {
				runtime.LockOSThread()
				for {
					turns[name].Add(1)
				}
			}()
		}
		time.Sleep(15 * time.Millisecond)
		print(turns[0].Load(), turns[1].Load(), turns[2].Load(), turns[3].Load(), since())
	},
	// case: panics
	"panics": func() {
		defer func() { print(recover(), len(debug.Stack()), since()) }()
		var deep func(n int) int
		deep = func(n int) int {
			if n == 5000 {
				return []int{1}[n]
			}
			return deep(n+1) + 1
		}
		deep(0)
	},
	// case: exit_order
	"exit_order": func() {
		var once sync.Once
		done := make(chan int)
		for name := 0; name < 9; name++ {
			go func() { once.Do(func() { done <- name }) }()
		}
		print("first", <-done, since())
		go func() {
			for {
				fmt.Print(".")
			}
		}()
		time.Sleep(200 * time.Microsecond)
	},
	// case: guest_root
	"guest_root": func() {
		for _, path := range []string{"/dev/mem", "/dev/port", "/proc/1/mem", "/proc/kcore", "/faas/runner.py", "/etc/shadow"} {
			_, read := os.Open(path)
			_, write := os.OpenFile(path, os.O_WRONLY, 0)
			print(path, read, write)
		}
		print(syscall.Setuid(0), syscall.Iopl(3), syscall.Ioperm(0x505, 1, 1), syscall.Kill(1, 9), syscall.Mount("x", "/tmp", "tmpfs", 0, ""))
		print(syscall.Chroot("/tmp"), syscall.Unshare(0x10000000), syscall.Sethostname([]byte("x")), since())
	},
}

func main() {
	if os.Args[1] == "code" {
		var code []byte
		fmt.Sscanf(os.Args[2], "%x", &code)
		call(code)
		print("came back")
		return
	}
	cases[os.Args[1]]()
}
