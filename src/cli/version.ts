// The program's version, as package.json has it.
export const programVersion = '1.0.0';
