// A fiber: a stack of its own and a place to go on from. Switching saves the registers that a
// function call must keep, nothing else: a few lines of assembly on x86-64; ucontext elsewhere, or
// with GPUCNN_PORTABLE.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>

#if defined(__x86_64__) && !defined(GPUCNN_PORTABLE)
#define GPUCNN_ASSEMBLY 1
#else
#include <ucontext.h>
#endif

namespace gpucnn_emulator {

constexpr std::size_t kStackBytes = 256 * 1024;

// A stack with a page below that may not be touched, so that an overflow is a fault; null where
// memory has run out.
inline char* new_stack() {
    void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) return nullptr;
    mprotect(stack, std::size_t(sysconf(_SC_PAGESIZE)), PROT_NONE);
    return static_cast<char*>(stack);
}

#ifdef GPUCNN_ASSEMBLY

struct Context {
    void* stack_pointer;
};

extern "C" void gpucnn_switch(void** save, void* load);
asm(R"(
    .text
    .type gpucnn_switch, @function
gpucnn_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size gpucnn_switch, . - gpucnn_switch
)");

inline void prepare(Context& context, char* stack, void (*body)()) {
    void** top = reinterpret_cast<void**>(stack + kStackBytes);
    *--top = nullptr;  // body's return address: it never returns
    *--top = reinterpret_cast<void*>(body);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    context.stack_pointer = top;
}

inline void switch_to(Context& from, Context& to) {
    gpucnn_switch(&from.stack_pointer, to.stack_pointer);
}

#else

struct Context {
    ucontext_t registers;
};

inline void prepare(Context& context, char* stack, void (*body)()) {
    getcontext(&context.registers);
    context.registers.uc_stack.ss_sp = stack;
    context.registers.uc_stack.ss_size = kStackBytes;
    context.registers.uc_link = nullptr;
    makecontext(&context.registers, body, 0);
}

inline void switch_to(Context& from, Context& to) {
    swapcontext(&from.registers, &to.registers);
}

#endif

}  // namespace gpucnn_emulator
