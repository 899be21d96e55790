// The scalar type; these examples need nothing else.
#ifndef SCALAR
#define SCALAR float
#endif
using scalar_t = SCALAR;
#ifndef GPUCNN_EMULATOR
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif
