#include "textflag.h"

// func candidateAVX2(lo, hi *[4][32]byte, p *byte, n int) int
//
// For each of 32 places at once: the groups of the byte's low half and of its
// high half are looked up (a shuffle each), and combined over 4 neighbouring
// bytes. A place that keeps a bit is a candidate.
//
// Y0-Y3 low tables, Y4-Y7 high tables, Y8 0x0f in each byte, Y15 zero.
TEXT ·candidateAVX2(SB), NOSPLIT, $0-40
	MOVQ lo+0(FP), AX
	MOVQ hi+8(FP), BX
	MOVQ p+16(FP), SI
	MOVQ n+24(FP), CX
	VMOVDQU (AX), Y0
	VMOVDQU 32(AX), Y1
	VMOVDQU 64(AX), Y2
	VMOVDQU 96(AX), Y3
	VMOVDQU (BX), Y4
	VMOVDQU 32(BX), Y5
	VMOVDQU 64(BX), Y6
	VMOVDQU 96(BX), Y7
	MOVQ $0x0f0f0f0f0f0f0f0f, DX
	MOVQ DX, X8
	VPBROADCASTQ X8, Y8
	VPXOR Y15, Y15, Y15
	MOVQ SI, DI
	ANDQ $-32, CX
	ADDQ SI, CX        // end of the last whole block

loop:
	CMPQ SI, CX
	JGE  none

	VMOVDQU (SI), Y9
	VPSRLW  $4, Y9, Y10
	VPAND   Y8, Y9, Y9
	VPAND   Y8, Y10, Y10
	VPSHUFB Y9, Y0, Y11
	VPSHUFB Y10, Y4, Y12
	VPAND   Y11, Y12, Y14

	VMOVDQU 1(SI), Y9
	VPSRLW  $4, Y9, Y10
	VPAND   Y8, Y9, Y9
	VPAND   Y8, Y10, Y10
	VPSHUFB Y9, Y1, Y11
	VPSHUFB Y10, Y5, Y12
	VPAND   Y11, Y12, Y13
	VPAND   Y13, Y14, Y14

	VMOVDQU 2(SI), Y9
	VPSRLW  $4, Y9, Y10
	VPAND   Y8, Y9, Y9
	VPAND   Y8, Y10, Y10
	VPSHUFB Y9, Y2, Y11
	VPSHUFB Y10, Y6, Y12
	VPAND   Y11, Y12, Y13
	VPAND   Y13, Y14, Y14

	VMOVDQU 3(SI), Y9
	VPSRLW  $4, Y9, Y10
	VPAND   Y8, Y9, Y9
	VPAND   Y8, Y10, Y10
	VPSHUFB Y9, Y3, Y11
	VPSHUFB Y10, Y7, Y12
	VPAND   Y11, Y12, Y13
	VPAND   Y13, Y14, Y14

	VPTEST  Y14, Y14
	JNZ     found
	ADDQ    $32, SI
	JMP     loop

found:
	VPCMPEQB Y15, Y14, Y14
	VPMOVMSKB Y14, AX
	NOTL    AX
	BSFL    AX, AX
	SUBQ    DI, SI
	ADDQ    SI, AX
	MOVQ    AX, ret+32(FP)
	VZEROUPPER
	RET

none:
	MOVQ $-1, ret+32(FP)
	VZEROUPPER
	RET
