#include "textflag.h"

// func candidateAVX2(lo, hi *[4][32]byte, p *byte, n int) int
//
// For each of 32 places at once: the groups of the byte's low half and of its
// high half are looked up (a shuffle each), and combined over 4 neighbouring
// bytes. A place that keeps a bit is a candidate. A shuffle looks at the low
// half by itself, and gives nothing for a byte that is not ASCII.
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
	VPAND   Y8, Y10, Y10
	VPSHUFB Y9, Y0, Y11
	VPSHUFB Y10, Y4, Y12
	VPAND   Y11, Y12, Y14

	VMOVDQU 1(SI), Y9
	VPSRLW  $4, Y9, Y10
	VPAND   Y8, Y10, Y10
	VPSHUFB Y9, Y1, Y11
	VPSHUFB Y10, Y5, Y12
	VPAND   Y11, Y12, Y13
	VPAND   Y13, Y14, Y14

	VMOVDQU 2(SI), Y9
	VPSRLW  $4, Y9, Y10
	VPAND   Y8, Y10, Y10
	VPSHUFB Y9, Y2, Y11
	VPSHUFB Y10, Y6, Y12
	VPAND   Y11, Y12, Y13
	VPAND   Y13, Y14, Y14

	VMOVDQU 3(SI), Y9
	VPSRLW  $4, Y9, Y10
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

// func candidateVBMI(class *[4][256]byte, p *byte, n int) int
//
// For each of 64 places at once: the groups of a byte are looked up in a table
// of 128 (one instruction), and combined over 4 neighbouring bytes. A place
// that keeps a bit is a candidate. The last block is read under a mask.
//
// Z0-Z7 tables, a lower and an upper half for each of the 4 bytes.
TEXT ·candidateVBMI(SB), NOSPLIT, $0-32
	MOVQ class+0(FP), AX
	MOVQ p+8(FP), SI
	MOVQ n+16(FP), CX
	VMOVDQU64 (AX), Z0
	VMOVDQU64 64(AX), Z1
	VMOVDQU64 256(AX), Z2
	VMOVDQU64 320(AX), Z3
	VMOVDQU64 512(AX), Z4
	VMOVDQU64 576(AX), Z5
	VMOVDQU64 768(AX), Z6
	VMOVDQU64 832(AX), Z7
	MOVQ SI, DI
	MOVQ CX, DX
	ANDQ $-64, DX
	ADDQ SI, DX        // end of the last whole block

wide:
	CMPQ SI, DX
	JGE  tail
	VMOVDQU64 (SI), Z8
	VMOVDQU64 1(SI), Z9
	VMOVDQU64 2(SI), Z10
	VMOVDQU64 3(SI), Z11
	VPERMI2B  Z1, Z0, Z8
	VPERMI2B  Z3, Z2, Z9
	VPERMI2B  Z5, Z4, Z10
	VPERMI2B  Z7, Z6, Z11
	VPTERNLOGQ $0x80, Z8, Z9, Z10 // and of three
	VPTESTMB  Z10, Z11, K1
	KMOVQ     K1, AX
	TESTQ     AX, AX
	JNZ       hit
	ADDQ      $64, SI
	JMP       wide

tail:
	ANDQ  $63, CX
	JZ    miss
	MOVQ  $1, AX
	SHLQ  CX, AX
	DECQ  AX
	KMOVQ AX, K2
	VMOVDQU8.Z (SI), K2, Z8
	VMOVDQU8.Z 1(SI), K2, Z9
	VMOVDQU8.Z 2(SI), K2, Z10
	VMOVDQU8.Z 3(SI), K2, Z11
	VPERMI2B  Z1, Z0, Z8
	VPERMI2B  Z3, Z2, Z9
	VPERMI2B  Z5, Z4, Z10
	VPERMI2B  Z7, Z6, Z11
	VPTERNLOGQ $0x80, Z8, Z9, Z10
	VPTESTMB  Z10, Z11, K2, K1
	KMOVQ     K1, AX
	TESTQ     AX, AX
	JZ        miss

hit:
	BSFQ AX, AX
	SUBQ DI, SI
	ADDQ SI, AX
	MOVQ AX, ret+24(FP)
	VZEROUPPER
	RET

miss:
	MOVQ $-1, ret+24(FP)
	VZEROUPPER
	RET

// func candidateSSSE3(lo, hi *[4][32]byte, p *byte, n int) int
//
// It is candidateAVX2 with blocks of 16 places.
//
// X0-X3 low tables, X4-X7 high tables, X8 0x0f in each byte, X15 zero.
TEXT ·candidateSSSE3(SB), NOSPLIT, $0-40
	MOVQ lo+0(FP), AX
	MOVQ hi+8(FP), BX
	MOVQ p+16(FP), SI
	MOVQ n+24(FP), CX
	MOVOU (AX), X0
	MOVOU 32(AX), X1
	MOVOU 64(AX), X2
	MOVOU 96(AX), X3
	MOVOU (BX), X4
	MOVOU 32(BX), X5
	MOVOU 64(BX), X6
	MOVOU 96(BX), X7
	MOVQ $0x0f0f0f0f0f0f0f0f, DX
	MOVQ DX, X8
	PUNPCKLQDQ X8, X8
	PXOR X15, X15
	MOVQ SI, DI
	ANDQ $-16, CX
	ADDQ SI, CX        // end of the last whole block

next16:
	CMPQ SI, CX
	JGE  none16

	MOVOU (SI), X9
	MOVO  X9, X10
	PSRLW $4, X10
	PAND  X8, X10
	MOVO  X0, X14
	MOVO  X4, X12
	PSHUFB X9, X14
	PSHUFB X10, X12
	PAND  X12, X14

	MOVOU 1(SI), X9
	MOVO  X9, X10
	PSRLW $4, X10
	PAND  X8, X10
	MOVO  X1, X11
	MOVO  X5, X12
	PSHUFB X9, X11
	PSHUFB X10, X12
	PAND  X12, X11
	PAND  X11, X14

	MOVOU 2(SI), X9
	MOVO  X9, X10
	PSRLW $4, X10
	PAND  X8, X10
	MOVO  X2, X11
	MOVO  X6, X12
	PSHUFB X9, X11
	PSHUFB X10, X12
	PAND  X12, X11
	PAND  X11, X14

	MOVOU 3(SI), X9
	MOVO  X9, X10
	PSRLW $4, X10
	PAND  X8, X10
	MOVO  X3, X11
	MOVO  X7, X12
	PSHUFB X9, X11
	PSHUFB X10, X12
	PAND  X12, X11
	PAND  X11, X14

	PCMPEQB X15, X14
	PMOVMSKB X14, AX
	CMPL AX, $0xffff
	JNE  found16
	ADDQ $16, SI
	JMP  next16

found16:
	NOTL AX
	BSFL AX, AX
	SUBQ DI, SI
	ADDQ SI, AX
	MOVQ AX, ret+32(FP)
	RET

none16:
	MOVQ $-1, ret+32(FP)
	RET
