// Svelte without preprocessors: the compiler reads TypeScript by itself.
export default { compilerOptions: { runes: true } };
