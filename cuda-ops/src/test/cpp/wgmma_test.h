// The emulation's warpgroup products against plain sums, their operand laid out by the formulas of CUTLASS.
#pragma once

// Returns the number of failures.
int test_wgmma();
