/** Choosing which attentions to convert, and with what maps: what each choice costs is measured, the best set is exact. */
package dev.hla.distill.plan;
