// What a kernel calls in checked mode before each load and store: it is compiled with
// -fsanitize=thread, for which these functions are not libtsan's, but the checker's.
#include "gpucnn_scheduler.h"

namespace gpucnn_emulator {
namespace {

void access_range(const void* where, std::size_t size, Access kind, void* caller) {
    const char* from = static_cast<const char*>(where);
    while (size) {
        const std::size_t step = size >= 16 ? 16 : size >= 8 ? 8 : size >= 4 ? 4 : 1;
        checker::access(from, std::uint32_t(step), kind, false, caller);
        from += step, size -= step;
    }
}

}  // namespace

extern "C" {

void gpucnn_note_atomic(const void* address, std::size_t size) {
    checker::access(address, std::uint32_t(size), Access::Atomic, true, __builtin_return_address(0));
}

#define GPUCNN_ACCESS(SIZE)                                                               \
    void __tsan_read##SIZE(void* a) { checker::access(a, SIZE, Access::Load, true, __builtin_return_address(0)); } \
    void __tsan_write##SIZE(void* a) { checker::access(a, SIZE, Access::Store, true, __builtin_return_address(0)); } \
    void __tsan_unaligned_read##SIZE(void* a) { checker::access(a, SIZE, Access::Load, false, __builtin_return_address(0)); } \
    void __tsan_unaligned_write##SIZE(void* a) { checker::access(a, SIZE, Access::Store, false, __builtin_return_address(0)); }
GPUCNN_ACCESS(1)
GPUCNN_ACCESS(2)
GPUCNN_ACCESS(4)
GPUCNN_ACCESS(8)
GPUCNN_ACCESS(16)
void __tsan_read_range(void* a, std::size_t n) { access_range(a, n, Access::Load, __builtin_return_address(0)); }
void __tsan_write_range(void* a, std::size_t n) { access_range(a, n, Access::Store, __builtin_return_address(0)); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit(void*) {}
void __tsan_vptr_update(void**, void*) {}

}  // extern "C"
}  // namespace gpucnn_emulator
