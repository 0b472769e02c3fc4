// SPDX-License-Identifier: Apache-2.0
#pragma once

// These sources are compiled once per instruction set; the build names it. Everything of one set lives in
// namespace tandem::TANDEM_ISA, and nothing here may instantiate a template of another namespace out of line: such a
// weak symbol, compiled for this set, could be picked for the whole program.
#ifndef TANDEM_ISA
#error "TANDEM_ISA must name the instruction set; see cmake/isa.cmake"
#endif

#define TANDEM_ISA_STRING_OF(name) #name
#define TANDEM_ISA_STRING(name) TANDEM_ISA_STRING_OF(name)

#define TANDEM_INLINE [[gnu::always_inline]] inline

// Instrumented copies of a loop's body take minutes to compile: under the sanitizers there is one.
namespace tandem::TANDEM_ISA {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kInstrumented = true;
#else
inline constexpr bool kInstrumented = false;
#endif
}  // namespace tandem::TANDEM_ISA

#if !defined(TANDEM_ISA_IS_portable)
#include <hwy/highway.h>
#if defined(TANDEM_ISA_IS_avx2)
static_assert(HWY_TARGET == HWY_AVX2 && HWY_STATIC_TARGET == HWY_AVX2, "needs -march=haswell -maes");
#elif defined(TANDEM_ISA_IS_avx512)
static_assert(HWY_TARGET == HWY_AVX3 && HWY_STATIC_TARGET == HWY_AVX3, "needs -march=skylake-avx512 -maes");
#elif defined(TANDEM_ISA_IS_avx512_vnni)  // one feature more, and not the many of HWY_AVX3_DL
static_assert(HWY_TARGET == HWY_AVX3 && HWY_STATIC_TARGET == HWY_AVX3, "needs -march=skylake-avx512 -maes");
#if !defined(__AVX512VNNI__)
#error "needs -mavx512vnni"
#endif
#elif defined(TANDEM_ISA_IS_neon) || defined(TANDEM_ISA_IS_neon_dot)
static_assert(HWY_TARGET == HWY_NEON && HWY_STATIC_TARGET == HWY_NEON, "needs aarch64");
#if defined(TANDEM_ISA_IS_neon_dot) && !defined(__ARM_FEATURE_DOTPROD)
#error "needs -march=armv8.2-a+dotprod"
#endif
#else
#error "an instruction set without a Highway target to check"
#endif
static_assert(HWY_NATIVE_FMA == 1, "fma() would round twice");
#endif
